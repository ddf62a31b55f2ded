"""Several databases: what naming one costs, what two give, what tenants notice of the death of another's database, and
for how long a tenant's messages are not taken in while it moves.

Both databases are on one machine of two cores, so two of them give no more room than one; they cost pools and engines.
"""

import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from service.adapters.access.tokens import DEFAULT_ORGANISATION
from service.adapters.machine.embedded import EmbeddedServer
from service.domain.ids import OrgId
from tests.benchmarks import history, load, owed, processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY, Database, Server
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.accept import ENDPOINTS
from tests.benchmarks.sections.deliver import until

OTHER = OrgId("org_other")
CONNECTIONS = 64
RATE = 100.0  # messages a second of each tenant whose neighbour's database dies
MOVING_RATE = 200.0
HISTORY, OWED = 100_000, 10_000
HEAD_START_S, QUIET_S = 3.0, 3.0  # before a move and after it
PLACE = "INSERT INTO organisation_home (org_id, database) VALUES ($1, $2)"


def measure(bench: Bench) -> list[Row]:
    """Accepts in turns; the living beside the dead; a move."""
    return [*_accepting(bench), _living(bench), *_moving(bench)]


def _accepting(bench: Bench) -> list[Row]:
    """The same messages to one database that has no name, to one that has, and to two."""
    with ExitStack() as stack:
        plain, named, first, second = (
            stack.enter_context(bench.database(name)) for name in ("plain", "named", "a", "b")
        )
        first.execute(PLACE, OTHER, "eu-2")
        turns = {
            "plain": _turn(bench, stack.enter_context(relevo.serving(plain, relevo.SILENT)), plain),
            "named": _turn(bench, stack.enter_context(relevo.over({"eu-1": named}, relevo.SILENT)), named),
            "two": _turn(
                bench, stack.enter_context(relevo.over({"eu-1": first, "eu-2": second}, relevo.SILENT)), first, second
            ),
        }
        figures = in_turns(bench.plan.turns, turns)
    return [
        _ratio(figures, "named", "plain", Target(must=0.98), "with one that is named, {0}/s with RELEVO_DATABASE_URL"),
        _ratio(
            figures, "two", "named", Target(must=0.8), "of two tenants in two databases, {0}/s in one, all on two cores"
        ),
    ]


def _turn(bench: Bench, process: Process, first: Database, second: Database | None = None) -> "partial[Turn]":
    requests = [relevo.message(first.add_application(*ENDPOINTS), later=True)]
    if second is not None:
        app_id = second.add_application(*ENDPOINTS, org_id=OTHER)
        requests.append(relevo.message(app_id, later=True, org_id=OTHER))
    job = Job(port=process.port, requests=requests, connections=CONNECTIONS, seconds=bench.plan.seconds)
    return partial(_accepted, bench, job, [one for one in (first, second) if one is not None], process)


def _accepted(bench: Bench, job: Job, used: list[Database], process: Process) -> Turn:
    before = sum(one.count("message") for one in used)
    done, turn = bench.drive(job, process)
    kept = sum(one.count("message") for one in used) - before
    check(done.accepted == done.answered == kept, f"a row for every 202: {kept} of {done.statuses}")
    return turn


def _ratio(figures: Mapping[str, Figures], key: str, other: str, target: Target, of: str) -> Result:
    ours, theirs = figures[key], figures[other]
    return Result(
        section="databases",
        key=key,
        value=ours.median / theirs.median,
        target=target,
        meaning=f"{ours.median:,.0f} messages/s at {ours.cpu_us:.0f} µs {of.format(f'{theirs.median:,.0f}')}",
        promise="a row for every 202",
        raw=raw({key: ours, other: theirs}),
        runs=len(ours.turns),
        spread=max(ours.spread, theirs.spread),
    )


class _Phase(NamedTuple):
    """The p99 of those that live, and what both tenants were answered."""

    p99_ms: float
    living: Mapping[str, int]
    dead: Mapping[str, int]


def _living(bench: Bench) -> Row:
    with ExitStack() as stack:
        mortal = stack.enter_context(_mortal())
        first = stack.enter_context(bench.database("living"))
        second = stack.enter_context(mortal.server.database("mortal"))
        first.execute(PLACE, OTHER, "eu-2")
        process = stack.enter_context(relevo.over({"eu-1": first, "eu-2": second}, relevo.SILENT))
        living = relevo.message(first.add_application(*ENDPOINTS), later=True)
        dead = relevo.message(second.add_application(*ENDPOINTS, org_id=OTHER), later=True, org_id=OTHER)
        phase = partial(_phase, process.port, living, dead, seconds=bench.plan.size(20, 2))
        before, beside = [], []
        for _ in range(bench.plan.turns):
            before.append(phase())
            with mortal.killed():
                beside.append(phase())
            until(partial(_is_up, process))
    check(all(set(one.living) == {"202"} for one in before + beside), "no request of the living failed")
    check(all("503" in one.dead for one in beside), f"the other was down: {[one.dead for one in beside]}")
    ours, theirs = (statistics.median(one.p99_ms for one in phases) for phases in (beside, before))
    return Result(
        section="databases",
        key="p99_beside_dead",
        value=ours / theirs,
        target=Target(must=1.2, better="lower"),
        meaning=f"times the p99 of accepts while another tenant's database is dead, {ours:.1f} ms and {theirs:.1f} ms,"
        f" {RATE:.0f} messages/s of each",
        promise="every message of the living accepted; 503 for the others",
        raw={"before_ms": [one.p99_ms for one in before], "beside_ms": [one.p99_ms for one in beside]},
        runs=bench.plan.turns,
    )


def _phase(port: int, living: str, dead: str, *, seconds: float) -> _Phase:
    job = partial(Job, port=port, rate=RATE, seconds=seconds)
    with load.running(job(requests=[living])) as one, load.running(job(requests=[dead])) as other:
        of_living, of_dead = one(), other()
    return _Phase(of_living.p99_ms, of_living.statuses, of_dead.statuses)


def _is_up(process: Process) -> bool:
    return all(
        "answers" in part for part in process.ask("GET", "/readyz?verbose")["checks"]["database"]["detail"].split(",")
    )


class _Mortal:
    """A server that can be killed and comes back."""

    def __init__(self, directory: Path, embedded: EmbeddedServer) -> None:
        self._directory = directory
        self._embedded = embedded
        self.server = Server(embedded)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """It is not there while the block lasts."""
        os.kill(relevo.postmaster(self._directory), signal.SIGKILL)
        try:
            yield
        finally:
            self._embedded.start()


@contextmanager
def _mortal() -> Iterator[_Mortal]:
    directory = Path(tempfile.mkdtemp(prefix="relevo-bench-mortal-"))
    embedded = EmbeddedServer(directory)
    embedded.acquire()
    try:
        yield _Mortal(directory, embedded)
    finally:
        embedded.release()
        shutil.rmtree(directory)


def _moving(bench: Bench) -> list[Row]:
    """A tenant with a past and with debts, to which messages come all the time."""
    messages, owes = bench.plan.size(HISTORY, 2_000), bench.plan.size(OWED, 200)
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        first, second = (stack.enter_context(bench.database(name)) for name in ("from", "to"))
        app_id = first.add_application(f"{receiver.url}/moving")
        asyncio.run(history.write(first.url, app_id, messages=messages))
        owed.owe(first, messages=owes, later=timedelta(hours=12))
        rows = {table: first.count(table) for table in ("message", "pending_delivery", "attempt", "settled_delivery")}
        databases = {"eu-1": first, "eu-2": second}
        process = stack.enter_context(relevo.over(databases, relevo.SILENT))
        job = Job(port=process.port, requests=[relevo.message(app_id)], rate=MOVING_RATE, seconds=600.0, stamps=True)
        sender = stack.enter_context(load.running(job))
        time.sleep(HEAD_START_S)
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "service", "tenants", "move", DEFAULT_ORGANISATION, "eu-2"],
            env={**os.environ, **relevo.named(databases)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        took = time.monotonic() - began
        time.sleep(QUIET_S)
        done = sender.stop()
        until(lambda: bool(receiver.ask("GET", "/count") >= done.accepted))
        report = receiver.ask("GET", "/report")
        left = {table: first.count(table) for table in rows}
        there = {table: second.count(table) for table in ("message", "pending_delivery")}
    check(set(done.statuses) <= {"202", "503"}, f"taken in, or sent away for a moment: {done.statuses}")
    check(
        report["calls"] == report["distinct"] == report["verified"] == done.accepted,
        f"each arrives once: {report}, {done.statuses}, lost {done.lost}, unsent {done.unsent}",
    )
    check(not any(left.values()), f"nothing is left behind: {left}")
    check(there["message"] == rows["message"] + done.accepted, f"every message has moved: {there}, {rows}")
    check(there["pending_delivery"] == rows["pending_delivery"], f"every debt has moved: {there}, {rows}")
    stamps = sorted(done.stamps)
    pause = max(later - earlier for earlier, later in pairwise(stamps)) / 1e9
    what = f"{rows['message']:,} messages of the past, {rows['pending_delivery']:,} owed, {MOVING_RATE:.0f}/s coming in"
    return [
        Result(
            section="databases",
            key="move_pause_s",
            value=pause,
            target=Target(must=2.0, better="lower"),
            meaning=f"s between two messages that were taken in, at most, while their tenant moved: {what};"
            f" {done.statuses.get('503', 0)} of {done.answered:,} were sent away; {took:.1f} s in all",
            promise="each accepted message arrives once; every row of the past has moved, none is left",
            raw={"seconds": took, "statuses": done.statuses, "rows": rows},
        )
    ]
