"""Use cases of background tasks, and the function that each kind of task provides."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from service.application.ports.background_tasks import BackgroundTaskRepository
from service.application.ports.machine import Clock
from service.application.ports.pages import Page, PageRequest, TaskFilter
from service.application.ports.unit_of_work import UnitOfWork
from service.domain import ids
from service.domain.background_tasks import BackgroundTask, Progress, TaskKind
from service.domain.errors import NotFound, TaskCanceled, TaskEnded
from service.domain.ids import ApplicationId, OrgId, TaskId
from service.observability.naming import name


class Step(Protocol):
    """Runs one batch of a kind of task, from `task.cursor` on.

    Its effects go through `work` and are committed together with the progress that it returns. It must await anything
    else before its first use of `work`, so that no transaction stays open meanwhile. A domain error fails the task;
    after any other error the batch is repeated later.
    """

    async def __call__(self, task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress: ...


Steps = Mapping[TaskKind, Step]


class BackgroundTasks:
    """The tasks of one organisation, or with `app_id` of one application of it."""

    def __init__(
        self,
        org_id: OrgId,
        tasks: BackgroundTaskRepository,
        *,
        app_id: ApplicationId | None,
        clock: Clock,
        new_id: Callable[[str], str],
    ) -> None:
        self._org_id = org_id
        self._tasks = tasks
        self._app_id = app_id
        self._clock = clock
        self._new_id = new_id

    async def start(
        self, kind: TaskKind, *, params: dict[str, Any], data: dict[str, Any], due_at: datetime | None = None
    ) -> BackgroundTask:
        """Store a new task in the current transaction; its first batch is due at `due_at`, or at once."""
        now = self._clock.now()
        task = BackgroundTask(
            id=TaskId(self._new_id(ids.TASK)),
            org_id=self._org_id,
            app_id=self._app_id,
            kind=kind,
            params=params,
            data=data,
            created_at=now,
            updated_at=now,
        )
        await self._tasks.add(task, due_at=due_at or now)
        name(task_id=task.id)
        return task

    async def page(self, page: PageRequest, wanted: TaskFilter) -> Page[BackgroundTask]:
        """One page of them, by time."""
        return await self._tasks.page(self._org_id, page, wanted, app_id=self._app_id)

    async def get(self, task_id: str) -> BackgroundTask:
        """NotFound when there is none with this id."""
        task = await self._tasks.get(self._org_id, TaskId(task_id), app_id=self._app_id)
        if task is None:
            raise NotFound
        return task

    async def cancel(self, task_id: str) -> BackgroundTask:
        """End a task that runs, before its next batch; what it did stays done. A batch that is under way is undone,
        since it can no longer store its progress. NotFound, TaskEnded."""
        task = await self.get(task_id)
        if not await self._tasks.cancel(task.failed(TaskCanceled(), at=self._clock.now())):
            raise TaskEnded
        return await self.get(task_id)
