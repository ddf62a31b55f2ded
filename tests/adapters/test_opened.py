"""What was unsealed is remembered, up to a bound in bytes."""

import pytest

from service.adapters.postgres.queue.claims import Opened


def test_what_was_asked_for_last_is_remembered_up_to_the_bound() -> None:
    asked: list[bytes] = []

    def unseal(sealed: bytes) -> int:
        asked.append(sealed)
        return len(asked)

    opened = Opened(unseal, most=100)
    names = [bytes([number]) * 30 for number in range(4)]

    for name in (*names[:3], names[0], names[3], names[0], names[1]):
        opened(name)

    assert asked == [*names[:3], names[3], names[1]]
    assert opened.size <= 100


def test_what_is_larger_than_the_bound_is_opened_and_not_kept() -> None:
    opened = Opened(len, most=100)

    assert [opened(bytes(101)), opened(bytes(101)), opened.size] == [101, 101, 0]


def test_what_cannot_be_opened_is_not_remembered() -> None:
    opened = Opened(lambda sealed: 1 // len(sealed), most=100)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            opened(b"")
    assert opened.size == 0
