"""What a parent does about children that end, hang, or never become ready; each is a process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.core import Metric

from service.observability.telemetry import Telemetry, open_telemetry
from service.runtime.database import DatabaseUrls
from service.supervision.child import Child
from service.supervision.instructions import Instructions
from service.supervision.supervisor import Supervisor
from tests.support.patience import patient

ACTOR = Path(__file__).with_name("actor.py")
NOBODY = Instructions(database=DatabaseUrls.without_pooler(""), spokesman="", number=0, api=())

pytestmark = pytest.mark.timeout(180)


class Cast:
    """Who plays which part; what is not said is `good`, and `none` cannot be started."""

    def __init__(self, client: httpx.AsyncClient, parts: list[str]) -> None:
        self._client = client
        self._parts = parts
        self.started: list[Child] = []

    @property
    def left(self) -> int:
        """How many parts have not been given."""
        return len(self._parts)

    async def start(self, number: int) -> Child:
        """The next of the parts."""
        part = self._parts.pop(0) if self._parts else "good"
        if part == "none":
            raise BlockingIOError("there are too many processes")
        child = await Child.start((sys.executable, str(ACTOR), part), NOBODY.of(number), self._client)
        self.started.append(child)
        return child


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        yield telemetry


@asynccontextmanager
async def supervised(
    telemetry: Telemetry, *parts: str, count: int = 1, patience: float = patient(30), silence: float = 30
) -> AsyncIterator[tuple[Supervisor, Cast, "asyncio.Task[int]"]]:
    """A supervisor at work."""
    async with httpx.AsyncClient(trust_env=False) as client:
        cast = Cast(client, list(parts))
        supervisor = Supervisor(
            start=cast.start,
            count=count,
            patience=patience,
            metrics=telemetry.metrics,
            silence=silence,
            listen_interval=0.05,
        )
        running = asyncio.create_task(supervisor.run())
        try:
            yield supervisor, cast, running
        finally:
            supervisor.stop(signal.SIGKILL)
            await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    """Until it does."""
    async with asyncio.timeout(patient(60)):
        while not holds():  # noqa: ASYNC110  # other processes' doing
            await asyncio.sleep(0.01)


def value(metrics: dict[str, Metric], name: str) -> float:
    """That of a metric with one sample."""
    (sample,) = metrics[name].samples
    return float(sample.value)


@pytest.mark.parametrize("other", ["good", "just begun"])
async def test_one_that_ends_at_the_first_start_ends_all_with_its_status(telemetry: Telemetry, other: str) -> None:
    async with supervised(telemetry, other, "exits", count=2) as (supervisor, _, running):
        status = await running

    assert status == 7
    assert supervisor.alive == []


async def test_one_that_ends_later_is_replaced_until_one_stays(telemetry: Telemetry) -> None:
    async with supervised(telemetry, "good", "exits", "exits") as (supervisor, cast, running):
        await until(lambda: supervisor.started)
        os.kill(cast.started[0].pid, signal.SIGKILL)
        await until(lambda: len(cast.started) == 4)
        await cast.started[3].ready.wait()
        supervisor.stop()
        status = await running

    page = generate_latest(telemetry.registry).decode()
    assert status == 0
    assert 'relevo_process_ended_total{reason="signal"} 1.0' in page
    assert 'relevo_process_ended_total{reason="status"} 2.0' in page


async def test_while_none_can_be_started_it_is_tried_again_and_the_others_stay(telemetry: Telemetry) -> None:
    async with supervised(telemetry, "good", "good", "none", "none", count=2) as (supervisor, cast, _):
        await until(lambda: supervisor.started)
        os.kill(cast.started[0].pid, signal.SIGKILL)
        await until(lambda: len(cast.started) == 3)
        await cast.started[2].ready.wait()
        stayed = cast.started[1] in supervisor.alive

    assert stayed


async def test_a_roll_that_cannot_start_anybody_leaves_who_was_there_and_the_next_succeeds(
    telemetry: Telemetry,
) -> None:
    async with supervised(telemetry, "good", "none") as (supervisor, cast, _):
        await until(lambda: supervisor.started)
        supervisor.roll()
        await until(lambda: not cast.left)
        supervisor.roll()
        await until(lambda: len(cast.started) == 2 and supervisor.alive == [cast.started[1]])


async def test_what_a_child_says_of_its_metrics_cannot_end_the_watch_over_it(telemetry: Telemetry) -> None:
    async with supervised(telemetry, "mumbling", silence=0.1) as (supervisor, cast, _):
        await until(lambda: supervisor.started)
        os.kill(cast.started[0].pid, signal.SIGSTOP)
        await until(lambda: len(cast.started) == 2)


async def test_one_that_hangs_is_killed_and_replaced(telemetry: Telemetry) -> None:
    async with supervised(telemetry, silence=0.1) as (supervisor, cast, _):
        await until(lambda: supervisor.started)
        os.kill(cast.started[0].pid, signal.SIGSTOP)
        await until(lambda: len(cast.started) == 2)
        await cast.started[1].ready.wait()

    assert 'relevo_process_ended_total{reason="silent"} 1.0' in generate_latest(telemetry.registry).decode()


async def test_a_successor_that_does_not_start_leaves_who_was_there(telemetry: Telemetry) -> None:
    async with supervised(telemetry, "good", "exits") as (supervisor, cast, running):
        await until(lambda: supervisor.started)
        supervisor.roll()
        await until(lambda: len(cast.started) == 2)
        await until(lambda: supervisor.alive == [cast.started[0]])
        supervisor.roll()
        await until(lambda: len(cast.started) == 3 and supervisor.alive == [cast.started[2]])
        supervisor.stop()
        status = await running

    assert status == 0


async def test_the_successor_of_one_that_ended_meanwhile_is_not_one_too_many(telemetry: Telemetry) -> None:
    async with supervised(telemetry, "good", "never ready") as (supervisor, cast, _):
        await until(lambda: supervisor.started)
        supervisor.roll()
        await until(lambda: len(cast.started) == 2)
        os.kill(cast.started[0].pid, signal.SIGKILL)
        await until(lambda: len(cast.started) == 3)
        os.kill(cast.started[1].pid, signal.SIGKILL)
        await cast.started[2].ready.wait()
        await until(lambda: supervisor.alive == [cast.started[2]])


async def test_one_that_does_not_leave_is_killed_and_the_worst_status_is_told(telemetry: Telemetry) -> None:
    async with supervised(telemetry, "good", "stubborn", count=2, patience=0.2) as (supervisor, _, running):
        await until(lambda: supervisor.started)
        supervisor.stop()
        status = await running

    assert status == 128 + signal.SIGKILL


async def test_what_an_ended_one_has_counted_stays_and_what_it_was_does_not(telemetry: Telemetry) -> None:
    async with supervised(telemetry, count=2) as (supervisor, cast, _):
        await until(lambda: supervisor.started)
        both = dict(await supervisor.exposition())
        supervisor.roll()
        await until(lambda: len(cast.started) == 4 and len(supervisor.alive) == 2)
        rolled = dict(await supervisor.exposition())
        os.kill(supervisor.alive[0].pid, signal.SIGKILL)
        await until(lambda: len(cast.started) == 5)
        killed = dict(await supervisor.exposition())

    assert (value(both, "done"), value(both, "there")) == (2, 2)
    assert (value(rolled, "done"), value(rolled, "there")) == (5 + 5 + 2, 2), "their last words were five each"
    assert value(killed, "done") >= 12
