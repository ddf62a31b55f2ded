"""Errors say what to do, under a code that stays."""

from collections.abc import Iterator

import pytest

from service.domain import errors
from service.domain.errors import Busy, Invalid, KeyReused, NotOffered, RelevoError, Unavailable


def below(error: type[RelevoError]) -> Iterator[type[RelevoError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from below(kind)


KINDS = [kind for kind in below(RelevoError) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_explains_itself(kind: type[RelevoError]) -> None:
    assert kind.__doc__
    assert kind.detail[0].isupper()
    assert kind.code.strip() == kind.code != ""


def test_no_two_errors_that_name_a_code_name_the_same() -> None:
    named = [vars(kind)["code"] for kind in KINDS if "code" in vars(kind)]

    assert sorted(set(named)) == sorted(named)


def test_a_detail_of_its_own_takes_the_place_of_the_usual_one() -> None:
    assert str(Busy()) == Busy.detail
    assert (str(Busy("Later.")), Busy("Later.", retry_after=7).retry_after) == ("Later.", 7)


def test_a_value_that_breaks_a_rule_says_where() -> None:
    error = Invalid("No.", field=("uid",))

    assert (error.field, error.kind, error.detail) == (("uid",), "value_error", "No.")
    assert (KeyReused().field, KeyReused().kind) == (("idempotency_key",), "idempotency_key_reused")


def test_what_is_not_offered_is_named_with_the_reason() -> None:
    assert str(NotOffered("v1.connector.list", "it has none")) == (
        "Relevo does not offer `v1.connector.list`: it has none."
    )


def test_a_lost_database_is_a_lack_of_room_to_whoever_waits() -> None:
    assert isinstance(Unavailable(), Busy)
