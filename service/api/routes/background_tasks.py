"""Background tasks: list them, get their progress, cancel them."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from service.api.dependencies import BackgroundTasksDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import TaskRef, ordered
from service.api.problems import documented
from service.api.schemas.background_tasks import BackgroundTaskOut
from service.api.schemas.pages import ListOut, listed
from service.api.schemas.rules import Text
from service.application.ports.pages import PageRequest, TaskFilter
from service.domain import ids
from service.domain.background_tasks import TaskStatus

router = Operations(prefix="/background-task", tags=["Background Task"], route_class=JsonRoute)

OfStatus = Annotated[TaskStatus | None, Query(description="Only those that stand so.")]
OfKind = Annotated[Text | None, Query(description="Only this kind, as in `endpoint.recover`.")]
TaskPage = Annotated[PageRequest, Depends(ordered(ids.TASK, default="descending"))]


@router.get("", operation_id="v1.background-task.list", responses=documented())
async def list_background_tasks(
    tasks: BackgroundTasksDep, page: TaskPage, status: OfStatus = None, task: OfKind = None
) -> ListOut[BackgroundTaskOut]:
    """List the background tasks of the last 90 days, newest first."""
    found = await tasks.page(page, TaskFilter(status=status, kind=task))
    return listed(found, key=lambda item: item.id, show=BackgroundTaskOut.of)


@router.get("/{task_id}", operation_id="v1.background-task.get", responses=documented(404))
async def get_background_task(task_id: TaskRef, tasks: BackgroundTasksDep) -> BackgroundTaskOut:
    """Get a background task, how it stands, and what it has to show so far."""
    return BackgroundTaskOut.of(await tasks.get(task_id))


@router.post(
    "/{task_id}/cancel",
    response_model=BackgroundTaskOut,
    operation_id="v1.background-task.cancel",
    responses=documented(404, 409),
)
async def cancel_background_task(
    request: Request, task_id: TaskRef, tasks: BackgroundTasksDep, once: OnceDep
) -> Response:
    """Cancel a background task that runs: it fails with the error `task_canceled`, and what it did stays done."""

    async def cancel() -> Answer:
        task = await tasks.cancel(task_id)
        request.state.app_id = task.app_id
        return Answer(body=BackgroundTaskOut.of(task), status=200)

    return await once.answer(cancel)
