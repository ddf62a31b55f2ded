"""A background task: work in many batches. Its progress is stored in the transaction of each batch."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from service.domain.errors import RelevoError
from service.domain.ids import ApplicationId, OrgId, TaskId

MAX_TASK_BACKOFF = timedelta(minutes=5)  # after failed batches: 1 s, doubled each time


class TaskStatus(StrEnum):
    """The state of a task; the words are the API's."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class TaskKind(StrEnum):
    """What a task does; the words are the API's."""

    REPLAY = "endpoint.replay"
    RECOVER = "endpoint.recover"
    BULK_REPLAY = "endpoint.bulk-replay"
    APPLICATION_STATS = "application.stats"
    EVENT_TYPE_AGGREGATE = "event-type.aggregate"
    PURGE_CONTENT = "application.purge_content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The cursor that the next batch starts from, and the task's result so far."""

    cursor: str
    data: dict[str, Any]
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundTask:
    """A task as stored. `params` are the request's and never change, `data` is what callers see."""

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
        """The task, failed for good. The effects of its finished batches stay."""
        data = self.data | {"error": {"code": error.code, "detail": error.detail}}
        return replace(self, status=TaskStatus.FAILED, data=data, updated_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClaim:
    """A task that this process holds until its lease ends. `failures` counts failed batches in a row."""

    task: BackgroundTask
    lease: str
    failures: int
