"""A quiet server begins what is due when it is due: retries, what is asked for by hand, and what tasks owe."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import pytest
from svix.api import MessageIn, RecoverIn

from tests.support.patience import patient
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import senders

POLL = 5.0  # seconds: what each of these would take if nobody but the poll noticed
AT_MOST = POLL * 0.7
RETRIES = 4
TIMES = 3

pytestmark = pytest.mark.timeout(180)


async def test_a_quiet_server_begins_retries_resends_and_tasks_without_waiting_for_the_poll(
    directory: Path, receiver: Receiver
) -> None:
    environ = settings(
        RELEVO_DATA_DIR=str(directory / "data"), RELEVO_RETRY_SCHEDULE=str([1] * RETRIES), RELEVO_PER_ENDPOINT="8"
    )
    server = RelevoProcess("serve", environ, directory / "serve.log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/refuses")
        async with senders.opened(customer.url, customer.token) as sdk:
            (endpoint,) = (await sdk.endpoint.list(customer.app_id)).data
            message = await sdk.message.create(customer.app_id, MessageIn(event_type=senders.EVENT_TYPE, payload={}))
            await receiver.wait_for(1 + RETRIES)

            async def resend() -> object:
                return await sdk.message_attempt.resend(customer.app_id, message.id, endpoint.id)

            async def recover() -> object:
                since = datetime.now(UTC) - timedelta(hours=1)
                return await sdk.endpoint.recover(customer.app_id, endpoint.id, RecoverIn(since=since))

            async def settled() -> int:
                return len((await sdk.message_attempt.list_by_msg(customer.app_id, message.id)).data)

            resending = await seconds_until_called(receiver, resend, settled)
            recovering = await seconds_until_called(receiver, recover, settled)
        attempts = server.events("delivery.attempted")

    late = [event["late_ms"] for event in attempts if event["trigger"] == "scheduled" and event["attempt"] != 1]
    print(f"retries {late} ms late, resends after {resending} s, recoveries after {recovering} s")  # noqa: T201  # figures
    assert len(late) == RETRIES
    assert median(float(str(milliseconds)) for milliseconds in late) < AT_MOST * 1000
    assert median(resending) < AT_MOST
    assert median(recovering) < AT_MOST


async def seconds_until_called(
    receiver: Receiver, ask: Callable[[], Awaitable[object]], settled: Callable[[], Awaitable[int]]
) -> list[float]:
    """How long each call takes to come, one after the other. What is asked for during a call may join it."""
    took = []
    for _ in range(TIMES):
        before, began = len(receiver.calls), time.monotonic()
        await ask()
        await receiver.wait_for(before + 1)
        took.append(round(time.monotonic() - began, 2))
        async with asyncio.timeout(patient(10)):
            while await settled() <= before:  # noqa: ASYNC110  # settled in another process
                await asyncio.sleep(0.01)
    return took
