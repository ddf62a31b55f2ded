"""How a background task goes on, ends and fails."""

from datetime import timedelta

import pytest

from service.domain.background_tasks import BackgroundTask, Progress, TaskKind, TaskStatus
from service.domain.errors import EndpointDisabled, NotFound, RelevoError
from service.domain.ids import TaskId
from tests.support.factories import ORG
from tests.support.kept import NOW

LATER = NOW + timedelta(minutes=1)
TASK = BackgroundTask(
    id=TaskId("qtask_1"),
    org_id=ORG,
    app_id=None,
    kind=TaskKind.RECOVER,
    params={"since": "a"},
    data={"messagesSent": 3},
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(("done", "status"), [(False, TaskStatus.RUNNING), (True, TaskStatus.FINISHED)])
def test_a_batch_takes_a_task_further(done: bool, status: TaskStatus) -> None:
    after = TASK.advanced(Progress(cursor="msg_9", data={"messagesSent": 5}, done=done), at=LATER)

    assert (after.status, after.cursor, after.data) == (status, "msg_9", {"messagesSent": 5})
    assert (after.created_at, after.updated_at, after.params) == (NOW, LATER, TASK.params)


@pytest.mark.parametrize("error", [NotFound(), EndpointDisabled()])
def test_a_task_that_fails_keeps_what_it_did_and_says_why(error: RelevoError) -> None:
    after = TASK.failed(error, at=LATER)

    assert (after.status, after.updated_at) == (TaskStatus.FAILED, LATER)
    assert after.data == {"messagesSent": 3, "error": {"code": error.code, "detail": error.detail}}
    assert TASK.data == {"messagesSent": 3}
