"""Reading `Retry-After` (RFC 9110, 10.2.3). Pure: the time comes in as an argument."""

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=365)
LONGEST_VALUE = 128
_SECONDS = re.compile(r"[ \t]*([0-9]{1,12}(?:\.[0-9]{1,12})?)[ \t]*")


def read_retry_after(value: str | None, *, at: datetime) -> timedelta | None:
    """How long after `at` to come back; fractions of a second are rounded up. None when it does not say."""
    if value is None or len(value) > LONGEST_VALUE:
        return None
    if seconds := _SECONDS.fullmatch(value):
        return min(timedelta(seconds=math.ceil(float(seconds[1]))), LONGEST)
    try:
        date = parsedate_to_datetime(value)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - at
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        # Whatever the parser makes of what is no date: it promises nothing, and a receiver may write anything.
        return None
    return min(max(wait, timedelta()), LONGEST)
