"""Delivering 1 KB to 50 endpoints by one worker, against a bare loop of the same client posting the same bodies."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY, Database
from tests.benchmarks.invoice import PAYLOAD_BYTES
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.owed import owe
from tests.benchmarks.processes import Process

ENDPOINTS = 50
CONCURRENCY = 64
PATIENCE = 120.0


def measure(bench: Bench) -> list[Row]:
    """A worker that finds its deliveries waiting, and the bare loop, in turns."""
    calls = bench.plan.size(20_000, 1_000)
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        used = stack.enter_context(bench.database("deliver"))
        used.add_application(*(f"{receiver.url}/{nth}" for nth in range(ENDPOINTS)))
        worker = stack.enter_context(relevo.working(used, {**relevo.SILENT, "RELEVO_CONCURRENCY": str(CONCURRENCY)}))
        figures = in_turns(
            bench.plan.turns,
            {
                "relevo": partial(delivered, used, receiver, [worker], calls),
                "raw": partial(_sent_raw, receiver, calls),
            },
        )
        bench.profile("deliver", worker, partial(delivered, used, receiver, [worker], calls * 2))
    return [_result(bench, figures)]


def delivered(used: Database, receiver: Process, workers: list[Process], calls: int) -> Turn:
    """Deliveries a second, each signed, received and settled once."""
    processes.exchange(receiver.port, "POST", "/forget")
    settled = used.count("settled_delivery")
    worked = sum(worker.worked for worker in workers)
    owe(used, messages=calls // ENDPOINTS)
    until(lambda: used.count("pending_delivery") == 0)
    cost = sum(worker.worked for worker in workers) - worked
    report = receiver.ask("GET", "/report")
    settled = used.count("settled_delivery") - settled
    check(report["calls"] == report["verified"] == report["distinct"] == calls, f"each call once, signed: {report}")
    check(settled == calls, f"{calls} deliveries, {settled} settled")
    return Turn(report["per_second"], cost * 1e6 / calls)


def _sent_raw(receiver: Process, calls: int) -> Turn:
    processes.exchange(receiver.port, "POST", "/forget")
    command = [sys.executable, "-m", "tests.benchmarks.contenders.raw_sending"]
    arguments = map(str, (receiver.port, calls, CONCURRENCY, PAYLOAD_BYTES))
    told = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout.split()
    check(receiver.ask("GET", "/count") == calls, "every call of the bare loop arrives")
    return Turn(receiver.ask("GET", "/report")["per_second"], float(told[1]))


def until(holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Return once it holds; `patience` in seconds."""
    deadline = time.monotonic() + patience
    while not holds():
        check(time.monotonic() < deadline, f"everything is delivered within {patience} s")
        time.sleep(0.2)


def _result(bench: Bench, figures: dict[str, Figures]) -> Result:
    ours, theirs = figures["relevo"], figures["raw"]
    return Result(
        section="deliver",
        key="vs_raw",
        value=ours.median / theirs.median,
        target=Target(must=0.4, aim=0.7),
        meaning=f"{ours.median:,.0f} deliveries/s at {ours.cpu_us:.0f} µs, of a bare loop ({theirs.median:,.0f}/s at"
        f" {theirs.cpu_us:.0f} µs)",
        promise="each received once, its signature verified, and settled",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=max(ours.spread, theirs.spread),
    )
