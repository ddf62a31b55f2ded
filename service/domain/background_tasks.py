"""A background task: work of many batches, whose progress is kept with the effects of each batch."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from service.domain.errors import RelevoError
from service.domain.ids import ApplicationId, OrgId, TaskId

LONGEST_PAUSE = timedelta(minutes=5)  # after batches that went wrong: 1 s, and twice as long each time


class TaskStatus(StrEnum):
    """How far a task is; the words are the interface's."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class TaskKind(StrEnum):
    """What a task does; the words are the interface's."""

    REPLAY = "endpoint.replay"
    RECOVER = "endpoint.recover"
    BULK_REPLAY = "endpoint.bulk-replay"
    APPLICATION_STATS = "application.stats"
    EVENT_TYPE_AGGREGATE = "event-type.aggregate"
    PURGE_CONTENT = "application.purge_content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the next batch goes on, and what the task has to show so far."""

    cursor: str
    data: dict[str, Any]
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundTask:
    """A task as it is kept. `params` stay as they were asked for, `data` is what is shown."""

    id: TaskId
    org_id: OrgId
    app_id: ApplicationId | None
    kind: TaskKind
    params: dict[str, Any]
    status: TaskStatus = TaskStatus.RUNNING
    cursor: str = ""
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    def advanced(self, progress: Progress, *, at: datetime) -> "BackgroundTask":
        """The task after one more batch."""
        status = TaskStatus.FINISHED if progress.done else TaskStatus.RUNNING
        return replace(self, status=status, cursor=progress.cursor, data=progress.data, updated_at=at)

    def failed(self, error: RelevoError, *, at: datetime) -> "BackgroundTask":
        """The task given up; what it did so far stays."""
        data = self.data | {"error": {"code": error.code, "detail": error.detail}}
        return replace(self, status=TaskStatus.FAILED, data=data, updated_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClaim:
    """A task that this process holds until its lease ends. `failures` is how often in a row a batch went wrong."""

    task: BackgroundTask
    lease: str
    failures: int
