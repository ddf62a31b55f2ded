"""Several times as much as it can take: it takes what it can, says so of the rest, and is well again afterwards."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.benchmarks import load, wire
from tests.benchmarks.load import Job, Load
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Customer, Promises

MOST_MEMORY = 400_000_000
MORE_THAN_ANY_PROCESS = 20_000.0  # messages a second; one that was measured before would be that of a busy moment

pytestmark = pytest.mark.timeout(180)


async def test_more_than_it_can_take_loses_nothing_that_was_accepted(
    database: str, directory: Path, receiver: Receiver
) -> None:
    server = RelevoProcess("serve", environ := settings(RELEVO_DATABASE_URL=database), directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        most = await offer(customer, environ, connections=512, seconds=0.6, rate=MORE_THAN_ANY_PROCESS)
        peak = server.peak_memory()
        async with asyncio.timeout(patient(30)):
            await senders.send_all(customer, count=5, clients=1, promises=(afterwards := Promises()))
            await audit.until_nothing_is_owed(database, within=patient(30))
        kept = await audit.ask(database, "SELECT count(*) FROM settled_delivery WHERE status = 0")

    assert most.answered + most.unsent > most.accepted > 0, "it was offered more than it took"
    assert set(most.statuses) <= {"202", "429", "503"}
    assert most.lost == 0
    assert kept == most.accepted + 5
    assert {call.header("webhook-id") for call in receiver.calls} >= set(afterwards.accepted.values())
    assert len({call.header("webhook-id") for call in receiver.calls}) == kept
    assert peak < MOST_MEMORY


async def offer(customer: Customer, environ: dict[str, str], *, connections: int, seconds: float, rate: float) -> Load:
    """Messages over so many connections, so many a second whether or not they are answered."""
    body = json.dumps({"eventType": senders.EVENT_TYPE, "payload": {"text": "x" * 1000}})
    request = wire.post(f"/api/v1/app/{customer.app_id}/msg", body, token=customer.token)
    port = int(environ["RELEVO_PORT"])
    job = Job(port=port, requests=[request], connections=connections, seconds=seconds, rate=rate, warm_up=0.1)
    return await asyncio.to_thread(load.run, job)
