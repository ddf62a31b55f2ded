"""Ports of background tasks, and of what they do: replays, removal of contents."""

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
        """Store a new task; its first batch is due at `due_at`, for any process."""

    async def get(self, org_id: OrgId, task_id: TaskId, *, app_id: ApplicationId | None) -> BackgroundTask | None: ...
    async def page(
        self, org_id: OrgId, page: PageRequest, wanted: TaskFilter, *, app_id: ApplicationId | None
    ) -> Page[BackgroundTask]: ...

    async def keep(self, task: BackgroundTask, *, lease: str | None, due_at: datetime) -> bool:
        """Store the task's progress and release its lease. Returns False, without a change, if the lease is another's
        now.

        `lease` is None for a task that is run outside the engine, which a later `due_at` keeps from claiming it.
        """
        ...

    async def cancel(self, task: BackgroundTask) -> bool:
        """Store how the task ended, whoever has its lease; False, without a change, if it runs no more."""
        ...


class TaskQueue(Protocol):
    """Due background tasks, claimed under a lease."""

    async def claim(self, kinds: Collection[TaskKind]) -> TaskClaim | None:
        """Claim the due task of these kinds that has waited longest; None when none is due."""
        ...

    async def postpone(self, claim: TaskClaim) -> None:
        """Release the lease after a failed batch; the task is due again after a back-off."""

    async def give_up(self, claim: TaskClaim, failed: BackgroundTask) -> None:
        """Store that the task has failed for good, if its lease is still ours."""

    async def wait(self) -> None:
        """Return when a batch may be due."""


class ReplayRepository(Protocol):
    """Queues manual deliveries of messages to an endpoint, a stretch at a time; each message once per task.

    Stretches of the same endpoint are serialised by a lock that lasts until the transaction's end.
    """

    async def sent(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch, wanted: ReplayFilter) -> Covered:
        """Queue the messages of the stretch that the endpoint was sent, that match, and that have their payload."""
        ...

    async def missing(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> Covered:
        """Queue the messages of the stretch that the endpoint wants, was never sent and has no pending delivery of."""
        ...

    async def count_sent(self, endpoint: Endpoint, stretch: Stretch, wanted: ReplayFilter) -> Covered:
        """Count what `sent` would queue of the stretch; nothing is queued or locked."""
        ...

    async def count_missing(self, endpoint: Endpoint, stretch: Stretch) -> Covered:
        """Count what `missing` would queue of the stretch; nothing is queued or locked."""
        ...


class ContentRepository(Protocol):
    """Removes payloads and answers; messages and attempts stay."""

    async def expunge(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> None: ...
    async def named(self, app_id: ApplicationId, refs: Collection[str]) -> dict[str, MessageId]:
        """The messages with these ids or event ids; unknown ones are missing."""
        ...

    async def expunge_attempt(self, attempt: Attempt, app_id: ApplicationId) -> None: ...
    async def expunge_all(self, app_id: ApplicationId, stretch: Stretch) -> Covered:
        """Remove the payloads of the stretch's messages. Counts those that had one."""
        ...
