"""What a BackgroundTaskRepository does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.application.ports.pages import PageRequest, TaskFilter
from service.domain import ids
from service.domain.background_tasks import BackgroundTask, Progress, TaskKind, TaskStatus
from service.domain.errors import TaskCanceled
from service.domain.ids import ApplicationId, OrgId, TaskId
from tests.contracts.conftest import BeginKept
from tests.support.factories import ORG
from tests.support.kept import NOW
from tests.support.sent import an_address

STRANGER = OrgId("org_000000000000000000000000002")
ALL, PAGE, LATER = TaskFilter(), PageRequest(), NOW + timedelta(minutes=1)


def a_task(app_id: ApplicationId | None, **changed: Any) -> BackgroundTask:
    values: dict[str, Any] = {
        "id": TaskId(new_id(ids.TASK)),
        "org_id": ORG,
        "app_id": app_id,
        "kind": TaskKind.RECOVER,
        "params": {"since": "a"},
        "data": {"messagesSent": 0},
        "created_at": NOW,
        "updated_at": NOW,
    }
    return BackgroundTask(**(values | changed))


async def test_a_task_is_found_by_its_organisation_and_its_application(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    task = a_task(application.id)

    async with kept() as work:
        await work.background_tasks.add(task, due_at=NOW)

    async with kept() as work:
        assert await work.background_tasks.get(ORG, task.id, app_id=None) == task
        assert await work.background_tasks.get(ORG, task.id, app_id=application.id) == task
        assert await work.background_tasks.get(ORG, task.id, app_id=other.id) is None
        assert await work.background_tasks.get(STRANGER, task.id, app_id=None) is None


async def test_tasks_are_listed_by_status_and_kind(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    running = a_task(application.id)
    finished = a_task(application.id, kind=TaskKind.PURGE_CONTENT, status=TaskStatus.FINISHED)
    async with kept() as work:
        for task in (running, finished):
            await work.background_tasks.add(task, due_at=NOW)

    found = {}
    async with kept() as work:
        for name, wanted in {
            "all": ALL,
            "running": TaskFilter(status=TaskStatus.RUNNING),
            "kind": TaskFilter(kind="application.purge_content"),
            "both": TaskFilter(status=TaskStatus.RUNNING, kind="application.purge_content"),
            "unknown": TaskFilter(kind="no.such.kind"),
        }.items():
            page = await work.background_tasks.page(ORG, PAGE, wanted, app_id=application.id)
            found[name] = {task.id for task in page.items}

    assert found == {
        "all": {running.id, finished.id},
        "running": {running.id},
        "kind": {finished.id},
        "both": set(),
        "unknown": set(),
    }


async def test_progress_is_kept_under_the_lease_alone_and_never_after_the_end(kept: BeginKept) -> None:
    task = a_task(None)
    further = task.advanced(Progress(cursor="c", data={"messagesSent": 1}), at=LATER)
    ended = further.advanced(Progress(cursor="d", data={"messagesSent": 2}, done=True), at=LATER)
    async with kept() as work:
        await work.background_tasks.add(task, due_at=NOW)

    async with kept() as work:
        assert not await work.background_tasks.keep(further, lease="somebody else's", due_at=NOW)
        assert await work.background_tasks.keep(further, lease=None, due_at=NOW)
        assert await work.background_tasks.get(ORG, task.id, app_id=None) == further
        assert await work.background_tasks.keep(ended, lease=None, due_at=NOW)
        assert not await work.background_tasks.keep(replace(ended, cursor="e"), lease=None, due_at=NOW)
        assert await work.background_tasks.get(ORG, task.id, app_id=None) == ended


async def test_a_task_is_canceled_once_and_whoever_has_its_lease_keeps_nothing_more(
    shared: Database, kept: BeginKept
) -> None:
    application, _ = await an_address(shared)
    task = a_task(application.id, data={"messagesSent": 3})
    async with kept() as work:
        await work.background_tasks.add(task, due_at=LATER)

    canceled = replace(task, data={}).failed(TaskCanceled(), at=LATER)
    async with kept() as work:
        said = [await work.background_tasks.cancel(canceled) for _ in range(2)]
        others = await work.background_tasks.cancel(replace(canceled, org_id=STRANGER))
        advanced = task.advanced(Progress(cursor="b", data={}, done=True), at=LATER)
        late = await work.background_tasks.keep(advanced, lease=None, due_at=LATER)
        found = await work.background_tasks.get(ORG, task.id, app_id=None)

    error = {"code": "task_canceled", "detail": "It was canceled."}
    assert (said, others, late) == ([True, False], False, False)
    assert found == replace(canceled, data={"messagesSent": 3, "error": error})
