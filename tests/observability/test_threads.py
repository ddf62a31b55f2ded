"""Work off the event loop: with the ids of whoever asked, bounded, measured, and by one way only."""

import ast
import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import structlog
from structlog.contextvars import bound_contextvars

import service
from service.domain.errors import Busy
from service.observability.logging import configure_logging
from service.observability.telemetry import Telemetry
from service.offloading.processes import MAX_MEMORY_BYTES, Processes
from service.offloading.threads import Threads
from tests.observability.conftest import Lines
from tests.support.patience import patient

pytestmark = pytest.mark.timeout(180)

WAYS_OUT = {
    "to_thread",
    "run_in_executor",
    "run_in_threadpool",
    "ThreadPoolExecutor",
    "ProcessPoolExecutor",
    "run_sync",
}
POOLS = {
    ("offloading/threads.py", "ThreadPoolExecutor"),
    ("offloading/processes.py", "run_sync"),
    ("adapters/postgres/server/schema.py", "run_sync"),  # SQLAlchemy's, which stays on the loop
}

# What has a process do something, and then lives until it is killed.
SERVER = """
import asyncio, os, sys, threading
from service.offloading.processes import Processes

async def main():
    print(await Processes(workers=1, seconds=60).run(os.getpid), file=sys.stderr, flush=True)
    threading.Event().wait()

asyncio.run(main())
"""


class Held:
    """Work that lasts until the test lets it end."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.end = threading.Event()

    def __call__(self) -> None:
        self.began.set()
        self.end.wait(20)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.end.set()


@pytest.fixture
def talkative(telemetry: Telemetry) -> Lines:
    """Every line, also those that tell of begin and end."""
    lines = Lines()
    configure_logging(level="debug", logger_provider=telemetry.logger_provider, stream=lines)
    return lines


def a_computation() -> int:
    return 42


def compute_for_ever() -> None:
    while True:
        pass


def wait_for_ever() -> None:
    threading.Event().wait()


def bytes_taken(size: int) -> int:
    return len(bytearray(size))


async def test_work_in_a_thread_logs_the_ids_of_whoever_asked(telemetry: Telemetry, talkative: Lines) -> None:
    log = structlog.get_logger("relevo.test")

    with Threads("test", workers=1) as threads:
        for correlation_id in ("first", "second"):
            with telemetry.tracer.start_as_current_span("work"), bound_contextvars(correlation_id=correlation_id):
                log.info("outside")
                await threads.run(lambda: log.info("inside"))

    events = ("outside", "thread.began", "inside", "thread.finished")
    for outside, *others in zip(*map(talkative.of, events), strict=True):
        assert {line["correlation_id"] for line in others} == {outside["correlation_id"]}
        assert {line["trace_id"] for line in others} == {outside["trace_id"]}


async def test_work_in_a_process_is_told_with_the_ids_of_whoever_asked(telemetry: Telemetry, talkative: Lines) -> None:
    processes = Processes(workers=1, seconds=60, metrics=telemetry.metrics)

    with telemetry.tracer.start_as_current_span("work"), bound_contextvars(correlation_id="order-17"):
        result = await processes.run(a_computation)

    assert result == 42
    for event in ("process.began", "process.finished"):
        assert talkative.one(event)["correlation_id"] == "order-17"
        assert talkative.one(event)["trace_id"]
    assert count(telemetry, "relevo_executor_duration_seconds", "processes") == 1


@pytest.mark.parametrize("endless", [compute_for_ever, wait_for_ever])
async def test_work_that_takes_too_long_is_ended_and_nobody_elses(endless: Callable[[], None]) -> None:
    processes = Processes(workers=1, seconds=0.5, busy_after=patient(60))

    ended = asyncio.create_task(processes.run(endless))
    await asyncio.sleep(0)
    others = [asyncio.create_task(processes.run(a_computation)) for _ in range(5)]
    with pytest.raises(TimeoutError):
        await ended
    results = await asyncio.gather(*others)

    assert results == [42] * 5


async def test_work_is_not_ended_because_the_machine_had_other_things_to_do() -> None:
    await Processes(workers=1, seconds=1).run(time.sleep, 1.5)


async def test_whoever_waits_too_long_for_a_process_is_told_to_come_again() -> None:
    processes = Processes(workers=1, seconds=1)

    *_, last = await asyncio.gather(*(processes.run(time.sleep, 60) for _ in range(4)), return_exceptions=True)

    assert isinstance(last, Busy)


async def test_work_that_takes_too_much_memory_is_refused() -> None:
    processes = Processes(workers=1, seconds=60)

    assert await processes.run(bytes_taken, MAX_MEMORY_BYTES // 2) == MAX_MEMORY_BYTES // 2
    with pytest.raises(MemoryError):
        await processes.run(bytes_taken, MAX_MEMORY_BYTES * 2)


async def test_a_process_outlives_work_that_fails_and_the_time_that_work_may_take() -> None:
    processes = Processes(workers=1, seconds=0.5)

    before = await processes.run(os.getpid)
    with pytest.raises(ValueError, match="nonsense"):
        await processes.run(int, "nonsense")
    await asyncio.sleep(2.1)  # the time that work may take is not counted while there is none
    after = await processes.run(os.getpid)

    assert after == before != os.getpid()


async def test_a_process_whose_work_nobody_waits_for_any_more_is_there_for_others() -> None:
    processes = Processes(workers=1, seconds=60)

    impatient = asyncio.create_task(processes.run(time.sleep, 60))
    await asyncio.sleep(0.1)
    impatient.cancel()
    async with asyncio.timeout(patient(30)):
        result = await processes.run(a_computation)

    assert result == 42


def test_the_processes_of_a_killed_server_end_as_well() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        worker = psutil.Process(int(server.stderr.readline()))
        server.kill()

    give_up_at = time.monotonic() + patient(20)
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


async def test_the_line_for_processes_has_an_end_and_is_measured(telemetry: Telemetry) -> None:
    processes = Processes(workers=1, seconds=60, most_waiting=1, metrics=telemetry.metrics)

    first, second = (asyncio.create_task(processes.run(a_computation)) for _ in range(2))
    await asyncio.sleep(0)
    busy = telemetry.registry.get_sample_value("relevo_pool_checked_out", {"pool": "processes"})
    with pytest.raises(Busy):
        await processes.run(a_computation)
    await asyncio.gather(first, second)

    assert busy == 1
    assert count(telemetry, "relevo_pool_wait_seconds", "processes") == 2


async def test_whoever_comes_when_the_line_is_full_is_refused(held: Held) -> None:
    with Threads("test", workers=1, most_waiting=1) as threads:
        first, second = (asyncio.create_task(threads.run(held)) for _ in range(2))
        await asyncio.sleep(0)

        with pytest.raises(Busy):
            await threads.run(held)
        held.end.set()
        await asyncio.gather(first, second)
        await threads.run(held)


async def test_work_that_nobody_waits_for_any_more_still_holds_its_place(held: Held) -> None:
    with Threads("test", workers=1, most_waiting=0) as threads:
        impatient = asyncio.create_task(threads.run(held))
        await asyncio.to_thread(held.began.wait, 20)
        impatient.cancel()

        with pytest.raises(Busy):
            await threads.run(held)
        held.end.set()


async def test_waiting_and_working_are_measured(telemetry: Telemetry, held: Held) -> None:
    with Threads("test", workers=1, metrics=telemetry.metrics) as threads:
        work = [asyncio.create_task(threads.run(held)) for _ in range(2)]
        await asyncio.to_thread(held.began.wait, 20)
        busy = telemetry.registry.get_sample_value("relevo_pool_checked_out", {"pool": "test"})
        held.end.set()
        await asyncio.gather(*work)

    assert busy == 1
    assert count(telemetry, "relevo_pool_wait_seconds", "test") == 2
    assert count(telemetry, "relevo_executor_duration_seconds", "test") == 2


def test_nothing_else_leaves_the_event_loop() -> None:
    root = Path(service.__file__).parent
    found = {
        (path.relative_to(root).as_posix(), name)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (name := _name(node)) in WAYS_OUT
    }

    assert found == POOLS


def _name(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name
        case _:
            return None


def count(telemetry: Telemetry, metric: str, pool: str) -> float | None:
    return telemetry.registry.get_sample_value(f"{metric}_count", {"pool": pool})
