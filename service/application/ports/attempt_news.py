"""News of attempts as they are made, for live streams."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from service.domain.ids import ApplicationId, AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """News that were lost; `count` is None when their number is unknown."""

    count: int | None


class Follower(Protocol):
    """Receives the news of one application."""

    async def next(self) -> Sequence[AttemptId] | Missed | None:
        """Wait for the next news: at least one attempt id, or `Missed`; None when there will be no more."""
        ...


class AttemptNews(Protocol):
    """Distributes news of attempts between all processes."""

    def follow(self, app_id: ApplicationId) -> AbstractAsyncContextManager[Follower]:
        """Follow an application's news from now on. Raises Unavailable while there is no connection for them."""
        ...
