"""The system's clock and the system's randomness, for those who need the time or a new identifier."""

import os
from datetime import UTC, datetime

from service.domain import ids


class SystemClock:
    """The time as the operating system has it."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)


def new_id(prefix: str, *, at: datetime | None = None) -> str:
    """An identifier that nobody else has, of the instant `at` or of now."""
    return ids.make(prefix, at=at or datetime.now(UTC), randomness=os.urandom(ids.RANDOM_BYTES))
