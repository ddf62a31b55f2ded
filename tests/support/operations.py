"""What tests of operations share: an application with deliveries behind it, and the engine's side of tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from httpx import AsyncClient

from service.adapters.machine.clock import SystemClock
from service.adapters.postgres.repositories.background_tasks import PostgresTaskQueue
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import Database
from service.adapters.postgres.server.wakeups import TASK_CHANNEL, Bell
from service.application import contents, replays, statistics
from service.application.background_tasks import Steps
from service.delivery.tasks import TaskRunner
from service.observability.tasks import TaskTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from tests.support.factories import VAULT
from tests.support.patience import patient

SINCE = "2020-01-01T00:00:00Z"


def all_steps(*, size: int) -> Steps:
    """Every kind of task, in batches of that size."""
    return {**replays.steps(size=size), **contents.steps(size=size), **statistics.steps(size=size)}


def a_runner(
    postgres: Database, telemetry: Telemetry, *, steps: Steps, lease: timedelta = timedelta(seconds=30)
) -> TaskRunner:
    """The engine's side of background tasks, in no hurry to sleep."""
    return TaskRunner(
        queue=PostgresTaskQueue(postgres.pool, Bell(TASK_CHANNEL), lease=lease, poll=0.01),
        open_work=partial(open_unit_of_work, postgres.sessions, VAULT),
        steps=steps,
        clock=SystemClock(),
        telemetry=TaskTelemetry(telemetry),
    )


@asynccontextmanager
async def running_tasks(postgres: Database, *, size: int = 1000) -> AsyncIterator[None]:
    """The engine's side of background tasks, at work."""
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        runner = a_runner(postgres, telemetry, steps=all_steps(size=size))
        async with runner.running():
            yield


async def owed(postgres: Database) -> list[tuple[str, str]]:
    """Every delivery that is owed, as message and resend."""
    rows = await postgres.pool.fetch("SELECT message_id, resend FROM pending_delivery ORDER BY message_id, resend")
    return [(row["message_id"], row["resend"]) for row in rows]


async def settled(postgres: Database, *, status: int, code: int = 200) -> None:
    """Have every scheduled delivery end that way, after one attempt."""
    await postgres.pool.execute(
        "INSERT INTO attempt SELECT 'atmpt_' || substr(message_id, 5), org_id, app_id, message_id, endpoint_id, 't',"
        " NULL, '', $1, 'said', $2, 5, 0, 1 FROM pending_delivery WHERE resend = ''",
        status,
        code,
    )
    await postgres.pool.execute(
        "INSERT INTO settled_delivery SELECT message_id, endpoint_id, org_id, app_id, $1, 1"
        " FROM pending_delivery WHERE resend = ''",
        status,
    )
    await postgres.pool.execute("DELETE FROM pending_delivery")


async def a_message(api: AsyncClient, **said: Any) -> str:
    """The id of a message that was accepted."""
    answer = await api.post("/app/u/msg", json={"eventType": "t", "payload": {"n": 1}} | said)
    answer.raise_for_status()
    return str(answer.json()["id"])


async def an_endpoint(api: AsyncClient, **said: Any) -> str:
    """The id of an endpoint."""
    answer = await api.post("/app/u/endpoint", json={"url": "http://127.0.0.1:9/"} | said)
    answer.raise_for_status()
    return str(answer.json()["id"])


async def finished(api: AsyncClient, task_id: str) -> dict[str, Any]:
    """The task, once it runs no more; the runner must be running."""
    async with asyncio.timeout(patient(15)):
        while (task := (await api.get(f"/background-task/{task_id}")).json())["status"] == "running":
            pass
    return dict(task)
