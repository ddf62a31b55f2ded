"""The probes of a whole server: what they depend on is wired to them."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.observability.telemetry import open_telemetry
from tests.observability.whole import running_whole
from tests.support.otlp import Collector, running_collector
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, asking, free_port, running, settings
from tests.support.receiver import Receiver

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.mark.parametrize(
    ("task", "check"),
    [
        ("delivery engine", "engine"),
        ("ordered destinations", "ordered destinations"),
        ("background tasks", "background tasks"),
        ("sources", "sources"),
    ],
)
async def test_a_server_whose_work_has_ended_is_not_alive(
    database: str, collector: Collector, task: str, check: str
) -> None:
    async with (
        open_telemetry(role="test", version="0", environ=collector.environ()) as telemetry,
        running_whole(telemetry, database=database) as whole,
    ):
        before = await whole.api.get("/livez")
        (ended,) = [running for running in asyncio.all_tasks() if running.get_name() == task]
        ended.cancel()
        await asyncio.wait({ended})
        after = await whole.api.get("/livez?verbose")

    assert (before.status_code, after.status_code) == (200, 503)
    assert [name for name, found in after.json()["checks"].items() if not found["ok"]] == [check]


@pytest.mark.parametrize("role", ["serve", "worker"])
async def test_a_server_is_ready_once_all_is_open_and_until_it_is_told_to_leave(
    *, database: str, directory: Path, receiver: Receiver, collector: Collector, role: str
) -> None:
    slow = {"RELEVO_ATTEMPT_TIMEOUT": "60"}
    # Leaves a delivery behind, which keeps whoever takes it from leaving at once.
    async with (
        open_telemetry(role="test", version="0", environ=collector.environ()) as telemetry,
        running_whole(telemetry, database=database, RELEVO_DRAIN="0", **slow) as whole,
    ):
        await whole.message(await whole.application("a", f"{receiver.url}/silence"))
        await receiver.wait_for(1)
    port = free_port()
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_OPS_PORT=str(port), RELEVO_DRAIN="120", **slow)
    process = RelevoProcess(role, environ, directory / "log")

    async with running(process), asking(f"http://127.0.0.1:{port}") as prober:
        await receiver.wait_for(2)
        before = [(await prober.get(path)).status_code for path in ("/startupz", "/readyz", "/livez")]
        process.send(signal.SIGTERM)
        async with asyncio.timeout(patient(10)):
            while (ready := await prober.get("/readyz?verbose")).status_code == 200:
                pass
        alive = await prober.get("/livez")

    assert before == [200, 200, 200]
    assert [name for name, found in ready.json()["checks"].items() if not found["ok"]] == ["drain"]
    assert alive.status_code == 200
