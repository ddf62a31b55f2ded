"""What a token may be called, and how long tokens hold."""

import pytest

from service.domain.tokens import (
    APPLICATION_LIFETIME,
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    MAX_PORTAL_LIFETIME,
    MIN_LIFETIME,
    MIN_PORTAL_LIFETIME,
    ROLES,
    is_token_name,
)

NAMES = {
    "deploys": True,
    "The night's exports, Zürich": True,
    "日本": True,
    " ": True,
    "a" * 256: True,
    "a" * 257: False,
    "": False,
    "a\nb": False,
    "a\x1b[31m": False,
    "a\x00": False,
    "\u202egnp": False,
}


@pytest.mark.parametrize("text", NAMES)
def test_a_name_is_read_in_a_list_and_controls_no_terminal(text: str) -> None:
    assert is_token_name(text) is NAMES[text]


def test_lifetimes_are_in_order() -> None:
    assert MIN_LIFETIME < DEFAULT_LIFETIME < MAX_LIFETIME
    assert MIN_PORTAL_LIFETIME < MAX_PORTAL_LIFETIME < APPLICATION_LIFETIME


def test_roles_are_named_from_the_weakest_to_the_strongest() -> None:
    assert ROLES == ("reader", "writer", "admin")
