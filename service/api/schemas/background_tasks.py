"""Bodies of responses for background tasks."""

from typing import Any

from pydantic import Field

from service.api.schemas.rules import Shown, TaskIdOut, Time
from service.domain.background_tasks import BackgroundTask, TaskKind, TaskStatus


class TaskStarted(Shown):
    """A task that was just started. Ask for it by its id to learn how far it is."""

    id: TaskIdOut
    status: TaskStatus
    task: TaskKind = Field(examples=["endpoint.recover"])
    updated_at: Time

    @classmethod
    def of(cls, task: BackgroundTask) -> "TaskStarted":
        """The response for a task."""
        return cls(id=task.id, status=task.status, task=task.kind, updated_at=task.updated_at)


class BackgroundTaskOut(TaskStarted):
    """A task, how it stands, and what it has to show so far."""

    data: dict[str, Any] = Field(examples=[{"messagesSent": 2}])

    @classmethod
    def of(cls, task: BackgroundTask) -> "BackgroundTaskOut":
        """The response for a task."""
        return cls(id=task.id, status=task.status, task=task.kind, updated_at=task.updated_at, data=task.data)
