"""Background tasks: those of the organisation or of an application, and one with its progress and result."""

from fastapi import Request, Response

from service.api.dependencies import ApplicationDep, BackgroundTasksDep, UseCasesDep
from service.api.parameters import TaskRef
from service.api.routes.background_tasks import TaskPage
from service.application.background_tasks import BackgroundTasks
from service.application.ports.pages import PageRequest, TaskFilter
from service.console import words
from service.console.listings import Listing, listing
from service.console.pages import go, page, pages
from service.console.task_reports import report
from service.domain.background_tasks import BackgroundTask

router = pages()
routers = (router,)


@router.get("/tasks", operation_id="v1.background-task.list")
async def list_tasks(request: Request, tasks: BackgroundTasksDep, asked: TaskPage) -> Response:
    """List the background tasks that the viewer may see: of the organisation, or of the one application."""
    found = await _found(request, tasks, asked)
    return page(request, "tasks.html", application=None, found=found, report=report, kinds=words.TASKS)


@router.get("/app/{app_id}/tasks", operation_id="v1.background-task.list")
async def list_tasks_of_application(
    request: Request, application: ApplicationDep, use_cases: UseCasesDep, asked: TaskPage
) -> Response:
    """List the background tasks of an application."""
    found = await _found(request, use_cases.background_tasks(application), asked)
    return page(request, "tasks.html", application=application, found=found, report=report, kinds=words.TASKS)


@router.get("/tasks/{task_id}", operation_id="v1.background-task.get")
async def show_task(request: Request, task_id: TaskRef, tasks: BackgroundTasksDep) -> Response:
    """Show a background task: how far it is, and what it did."""
    task = await tasks.get(task_id)
    return page(request, "task.html", task=task, report=report(task), kinds=words.TASKS)


@router.post("/tasks/{task_id}/cancel", operation_id="v1.background-task.cancel")
async def cancel(request: Request, task_id: TaskRef, tasks: BackgroundTasksDep) -> Response:
    """Cancel a background task that runs."""
    task = await tasks.cancel(task_id)
    request.state.app_id = task.app_id
    return go(f"/tasks/{task.id}", done="canceled")


async def _found(request: Request, tasks: BackgroundTasks, asked: PageRequest) -> Listing[BackgroundTask]:
    return listing(await tasks.page(asked, TaskFilter()), asked, request.query_params, key=lambda one: one.id)
