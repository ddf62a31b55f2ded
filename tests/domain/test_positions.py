"""Iterators: what stands for a position outside, and whose it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.ids import ApplicationId
from service.domain.positions import iterator_of, position_of

APP, OTHER = ApplicationId("app_1srOrx2ZWZBpBUvZwXKQmoEYga2"), ApplicationId("app_2srOrx2ZWZBpBUvZwXKQmoEYga2")


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_an_iterator_leads_back_to_its_position_in_its_application_alone(position: int) -> None:
    iterator = iterator_of(APP, position)

    assert position_of(APP, iterator) == position
    assert position_of(OTHER, iterator) is None
    assert iterator.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "-",
        "AAAA",
        "A" * 16,
        "\u00e9" * 16,
        "A" * 1000,
        iterator_of(APP, 7)[:-1],
        iterator_of(APP, 7) + "AAAA",
        iterator_of(APP, 2**63),
    ],
)
def test_any_other_text_is_none(text: str) -> None:
    assert position_of(APP, text) is None
