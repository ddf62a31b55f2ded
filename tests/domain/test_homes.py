"""Which database a new organisation is given."""

from collections.abc import Mapping

import pytest

from service.domain.homes import least_crowded


@pytest.mark.parametrize(
    ("counts", "among", "chosen"),
    [
        ({}, ["eu-1", "eu-2"], "eu-1"),
        ({"eu-1": 1}, ["eu-1", "eu-2"], "eu-2"),
        ({"eu-1": 3, "eu-2": 2, "eu-3": 1}, ["eu-1", "eu-2"], "eu-2"),
        ({"eu-1": 2, "eu-2": 2}, ["eu-2", "eu-1"], "eu-2"),
    ],
)
def test_the_least_crowded_is_chosen_and_of_equals_the_first(
    counts: Mapping[str, int], among: list[str], chosen: str
) -> None:
    assert least_crowded(counts, among=among) == chosen
