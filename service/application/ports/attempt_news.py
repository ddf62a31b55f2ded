"""Who is told of attempts as they are made."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from service.domain.ids import ApplicationId, AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """So many news could not be told; None when nobody knows how many."""

    count: int | None


class Follower(Protocol):
    """Who hears of attempts as they are made."""

    async def next(self) -> Sequence[AttemptId] | Missed | None:
        """The next news, at least one; what was missed before them; None when there will be no more."""
        ...


class AttemptNews(Protocol):
    """Tells of attempts, whichever process made them."""

    def follow(self, app_id: ApplicationId) -> AbstractAsyncContextManager[Follower]:
        """News of the application from now on. Unavailable when nobody can be told."""
        ...
