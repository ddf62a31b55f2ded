"""What a caller may call something, and the sizes that have to fit into each other."""

import re

import pytest

from service.domain.limits import (
    CHANNEL,
    MAX_BODY_BYTES,
    MAX_FLAGS_BYTES,
    MAX_LISTED_VALUES,
    MAX_METADATA_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_SCHEMAS_BYTES,
    MAX_URL_CHARACTERS,
    TAG,
    is_name,
)

NAMES = {
    "a": True,
    "Invoice.paid_2-final": True,
    "0": True,
    "a" * MAX_NAME_CHARACTERS: True,
    "a" * (MAX_NAME_CHARACTERS + 1): False,
    "": False,
    " ": False,
    "a b": False,
    "a\n": False,
    "\na": False,
    "a/b": False,
    "a:b": False,
    "é": False,
    "٣": False,
    "a\x00": False,
}
LABELS = {
    "project:7": (True, False),
    "a+b": (True, False),
    "a/b": (False, True),
    "a\\b": (False, True),
    "#7": (False, True),
    "a.b_c-d": (True, True),
    "a b": (False, False),
    "a,b": (False, False),
    "": (False, False),
    "é": (False, False),
}


@pytest.mark.parametrize("text", NAMES)
def test_a_name_is_of_letters_digits_and_three_signs(text: str) -> None:
    assert is_name(text) is NAMES[text]


@pytest.mark.parametrize("text", LABELS)
def test_a_label_may_have_signs_of_its_kind_but_never_a_comma(text: str) -> None:
    assert tuple(re.fullmatch(pattern, text) is not None for pattern in (CHANNEL, TAG)) == LABELS[text]


def test_what_a_request_may_hold_fits_into_its_body() -> None:
    whole = (
        MAX_URL_CHARACTERS
        + MAX_METADATA_BYTES
        + MAX_SCHEMAS_BYTES
        + MAX_FLAGS_BYTES
        + MAX_LISTED_VALUES * (MAX_NAME_CHARACTERS + 4)
    )

    assert whole < MAX_BODY_BYTES


def test_a_list_fits_into_a_statement() -> None:
    assert MAX_LISTED_VALUES < 32_767
