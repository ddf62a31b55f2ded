"""What is remembered of tokens: those that hold, and no more of them than there is room for."""

import pytest

from service.adapters.access.remembered import RememberedTokens, Verified
from service.application.access import Caller
from service.domain.errors import NotAuthenticated
from tests.support.factories import ORG

HOLDS = Verified(caller=Caller(org_id=ORG), valid_from=10, valid_until=20)


def remembered(known: RememberedTokens, tokens: list[str]) -> list[str]:
    return [token for token in tokens if known.find(token) is not None]


def test_a_token_that_holds_is_remembered_and_one_that_does_not_is_forgotten() -> None:
    known = RememberedTokens()

    assert known.caller("a", HOLDS, at=10) == HOLDS.caller
    assert known.find("a") is HOLDS
    for at in (9.9, 20):
        with pytest.raises(NotAuthenticated):
            known.caller("a", HOLDS, at=at)
    assert known.find("a") is None


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        (["aa", "bb", "cc"], ["aa", "bb", "cc"]),
        (["a", "b", "c", "d", "e"], ["c", "d", "e"]),
        (["aaaa", "bbbbb", "c"], ["bbbbb", "c"]),
        (["aaaa", "bbbbbbbbb"], ["bbbbbbbbb"]),
        (["a", "bbbbbbbbbb"], []),
        (["a", "a", "a", "a", "bb"], ["a", "bb"]),
    ],
)
def test_the_oldest_make_room_by_number_and_by_length(tokens: list[str], kept: list[str]) -> None:
    known = RememberedTokens(tokens=3, characters=9)

    for token in tokens:
        known.caller(token, HOLDS, at=15)

    assert remembered(known, list(dict.fromkeys(tokens))) == kept


def test_what_was_forgotten_makes_room_again() -> None:
    known = RememberedTokens(tokens=3, characters=9)
    for token in ("aaa", "bbb", "ccc"):
        known.caller(token, HOLDS, at=15)

    known.clear()
    for token in ("ddd", "eee", "fff"):
        known.caller(token, HOLDS, at=15)

    assert remembered(known, ["aaa", "bbb", "ccc", "ddd", "eee", "fff"]) == ["ddd", "eee", "fff"]
