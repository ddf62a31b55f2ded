"""The system's clock, and new identifiers made of time and the system's randomness."""

import os
from datetime import UTC, datetime

from service.domain import ids


class SystemClock:
    """Fulfils `ports.Clock` with the operating system's time."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


def new_id(prefix: str, *, at: datetime | None = None) -> str:
    """A unique identifier with that prefix, which sorts by `at` (now if not given)."""
    return ids.make(prefix, at=at or datetime.now(UTC), randomness=os.urandom(ids.RANDOM_BYTES))
