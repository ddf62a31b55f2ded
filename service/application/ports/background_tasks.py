"""Background tasks, and what they read and write: replays, contents to be forgotten."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from service.application.ports.pages import Page, PageRequest, TaskFilter
from service.domain.background_tasks import BackgroundTask, TaskClaim, TaskKind
from service.domain.deliveries import Attempt
from service.domain.endpoints import Endpoint
from service.domain.ids import ApplicationId, MessageId, OrgId, TaskId
from service.domain.replays import Covered, ReplayFilter, Stretch


class BackgroundTaskRepository(Protocol):
    """Background tasks of one organisation, or of one application of it."""

    async def add(self, task: BackgroundTask, *, due_at: datetime) -> None:
        """Its first batch is done from `due_at` on, by whichever process is first."""

    async def get(self, org_id: OrgId, task_id: TaskId, *, app_id: ApplicationId | None) -> BackgroundTask | None: ...
    async def page(
        self, org_id: OrgId, page: PageRequest, wanted: TaskFilter, *, app_id: ApplicationId | None
    ) -> Page[BackgroundTask]: ...

    async def keep(self, task: BackgroundTask, *, lease: str | None, due_at: datetime) -> bool:
        """Keep the task's progress and give its lease back; False, and nothing changed, when it has another by now.

        `lease` is None for a task that nobody has claimed: whoever works at it outside the engine keeps the engine
        away by a `due_at` ahead of time.
        """
        ...


class TaskQueue(Protocol):
    """Background tasks whose next batch is due, taken under a lease."""

    async def claim(self, kinds: Collection[TaskKind]) -> TaskClaim | None:
        """The one that has waited longest, among these kinds; None when none is due."""
        ...

    async def postpone(self, claim: TaskClaim) -> None:
        """Give the lease back after a batch that went wrong; the task is due again later, the later the more did."""

    async def give_up(self, claim: TaskClaim, failed: BackgroundTask) -> None:
        """Keep that the task has failed, if its lease is still ours."""

    async def wait(self) -> None:
        """Return when a batch may be due."""


class ReplayRepository(Protocol):
    """Owing messages to an endpoint once more, a stretch at a time. Each is owed once for a task, by its id.

    Stretches of one endpoint are done one after the other; the lock is let go at the transaction's end.
    """

    async def sent(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch, wanted: ReplayFilter) -> Covered:
        """Of the messages that the endpoint was sent, those that are meant and still have their payload."""
        ...

    async def missing(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> Covered:
        """Those of the application's messages that the endpoint wants, and was never sent nor is owed."""
        ...


class ContentRepository(Protocol):
    """Removing what messages and answers said, while what is known of them stays."""

    async def expunge(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> None: ...
    async def named(self, app_id: ApplicationId, refs: Collection[str]) -> dict[str, MessageId]:
        """The messages by these ids or event ids; those that are unknown are missing."""
        ...

    async def expunge_attempt(self, attempt: Attempt, app_id: ApplicationId) -> None: ...
    async def expunge_all(self, app_id: ApplicationId, stretch: Stretch) -> Covered:
        """Of the next messages, all. Counts those that had a payload."""
        ...
