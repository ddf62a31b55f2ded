"""A clock that stands still until the test moves it."""

from datetime import datetime


class HandClock:
    """Fulfils `ports.Clock`."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        """What the test says."""
        return self.time
