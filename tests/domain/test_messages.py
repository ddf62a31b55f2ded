"""When a message may be delivered at the earliest and the latest."""

from contextlib import nullcontext
from datetime import timedelta

import pytest

from service.domain.errors import Invalid
from tests.support.factories import new_message
from tests.support.kept import NOW

MINUTE, DAY, MOMENT = timedelta(minutes=1), timedelta(days=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("ahead", "refused"),
    [
        (None, False),
        (MINUTE, False),
        (DAY, False),
        (MINUTE - MOMENT, True),
        (DAY + MOMENT, True),
        (timedelta(), True),
        (-DAY, True),
        (365 * DAY, True),
    ],
)
def test_a_delivery_is_put_off_by_a_minute_at_least_and_a_day_at_most(ahead: timedelta | None, refused: bool) -> None:
    message = new_message("app_1", accepted_at=NOW, deliver_at=None if ahead is None else NOW + ahead)

    with pytest.raises(Invalid, match="one minute") if refused else nullcontext():
        message.refuse_untimely()
