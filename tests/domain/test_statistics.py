"""The window that is meant, whatever of it is said."""

from datetime import timedelta

import pytest

from service.domain.errors import InvalidRange
from service.domain.limits import CLOCK_TOLERANCE
from service.domain.replays import Window
from service.domain.statistics import MAX_WINDOW, window
from tests.support.kept import NOW

HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)

MEANT = {
    "nothing": ((None, None), (MAX_WINDOW, 0 * DAY)),
    "a beginning": ((DAY, None), (DAY, 0 * DAY)),
    "an end": ((None, DAY), (MAX_WINDOW + DAY, DAY)),
    "both": ((2 * DAY, DAY), (2 * DAY, DAY)),
    "a moment": ((DAY, DAY), (DAY, DAY)),
    "the longest": ((MAX_WINDOW, 0 * DAY), (MAX_WINDOW, 0 * DAY)),
    "a little longer, for a clock that differs": (
        (MAX_WINDOW + CLOCK_TOLERANCE, 0 * DAY),
        (MAX_WINDOW + CLOCK_TOLERANCE, 0 * DAY),
    ),
    "an end ahead, by a clock that differs": ((DAY, -CLOCK_TOLERANCE), (DAY, 0 * DAY)),
    "both ahead, by a clock that differs": ((-HOUR / 60, -HOUR / 60), (0 * DAY, 0 * DAY)),
}
REFUSED = {
    "an end in the future": (DAY, -CLOCK_TOLERANCE - MOMENT),
    "a beginning in the future": (-HOUR, None),
    "the wrong way round": (DAY, 2 * DAY),
    "too long": (MAX_WINDOW + CLOCK_TOLERANCE + MOMENT, 0 * DAY),
    "much too long": (3650 * DAY, None),
}


@pytest.mark.parametrize("name", MEANT)
def test_a_window_ends_now_and_is_four_weeks_long_where_nothing_else_is_said(name: str) -> None:
    said, (since, until) = MEANT[name]
    begin, end = (None if ago is None else NOW - ago for ago in said)

    assert window(begin, end, now=NOW) == Window(since=NOW - since, until=NOW - until)


@pytest.mark.parametrize("name", REFUSED)
def test_a_window_is_of_the_past_and_bounded(name: str) -> None:
    begin, end = (None if ago is None else NOW - ago for ago in REFUSED[name])

    with pytest.raises(InvalidRange):
        window(begin, end, now=NOW)
