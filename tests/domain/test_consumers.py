"""What a poll does to what a consumer has read."""

import pytest

from service.domain.consumers import after_poll, before_poll, moved
from service.domain.ordered import Consumer

NEW = Consumer(position=7)
POLLED = Consumer(position=7, polled=9)
ACKNOWLEDGES = Consumer(position=7, polled=9, acknowledges=True)


@pytest.mark.parametrize(
    ("known", "acknowledged", "is_repeated", "reads_after"),
    [
        (NEW, None, False, 7),
        (NEW, None, True, 7),
        (POLLED, None, False, 9),  # the poll acknowledges the one before
        (POLLED, None, True, 7),  # whose answer was lost
        (POLLED, 9, False, 9),
        (POLLED, 8, False, 8),
        (ACKNOWLEDGES, None, False, 7),  # it has begun anew
        (ACKNOWLEDGES, None, True, 7),
        (ACKNOWLEDGES, 9, False, 9),
        (ACKNOWLEDGES, 9, True, 9),
        (moved(3), None, False, 3),
    ],
)
def test_a_poll_reads_after_what_is_acknowledged(
    known: Consumer, acknowledged: int | None, is_repeated: bool, reads_after: int
) -> None:
    assert before_poll(known, acknowledged=acknowledged, is_repeated=is_repeated).position == reads_after


def test_who_has_acknowledged_by_an_iterator_is_never_taken_to_have_done_so_without() -> None:
    consumer = before_poll(POLLED, acknowledged=9, is_repeated=False)
    for _ in range(3):
        consumer = before_poll(after_poll(consumer, through=12), acknowledged=None, is_repeated=False)

    assert consumer.position == 9


def test_who_never_acknowledges_goes_on_from_poll_to_poll() -> None:
    consumer = NEW
    for through in (9, 12, 12, 15):
        consumer = after_poll(before_poll(consumer, acknowledged=None, is_repeated=False), through=through)

    assert consumer == Consumer(position=12, polled=15)
