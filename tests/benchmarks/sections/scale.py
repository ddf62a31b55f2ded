"""Accepting with everything exported, in one process and in two behind one port; the database and the load beside them.

Of two cores both processes, the database, the sink and the load generator have their parts: what two give above one is
what of the machine one leaves idle.
"""

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, in_turns, raw
from tests.benchmarks.peers.usage import Trees
from tests.benchmarks.sections.accept import ENDPOINTS, accepted, job

CONNECTIONS = 256  # 64 leave one process idle for a fifth of the time, waiting for commits


def measure(bench: Bench) -> list[Row]:
    """One process and two, in turns, each with a database and a sink of its own."""
    database = Trees((bench.server.pid,))
    shares: dict[str, list[float]] = {"one": [], "two": []}

    def turn(name: str, accepting: "partial[Turn]") -> Turn:
        began, worked = time.monotonic(), database.worked
        given = accepting()
        shares[name].append((database.worked - worked) / (time.monotonic() - began))
        return given

    with ExitStack() as stack:
        turns = {}
        for name, count in (("one", 1), ("two", 2)):
            used = stack.enter_context(bench.database(f"{name}_processes"))
            sink = stack.enter_context(processes.listening("sink"))
            environ = {**relevo.everything_to(sink), "RELEVO_PROCESSES": str(count)}
            process = stack.enter_context(relevo.serving(used, environ))
            work = replace(job(bench, used, process), connections=CONNECTIONS)
            turns[name] = partial(turn, name, partial(accepted, bench, work, used, process))
        figures = in_turns(bench.plan.turns, turns)
    return [_result(bench, figures, {name: sorted(share)[len(share) // 2] for name, share in shares.items()})]


def _result(bench: Bench, figures: dict[str, Figures], shares: dict[str, float]) -> Result:
    one, two = figures["one"], figures["two"]
    return Result(
        section="scale",
        key="processes",
        value=two.median / one.median,
        target=Target(must=1.5, aim=1.8),
        meaning=f"{two.median:,.0f} messages/s by two at {two.cpu_us:.0f} µs, {one.median:,.0f}/s by one at"
        f" {one.cpu_us:.0f} µs, all exported; the database beside them takes {shares['two']:.2f} and"
        f" {shares['one']:.2f} cores",
        promise=f"a row for every 202, {len(ENDPOINTS)} deliveries for every row",
        raw={**raw(figures), "cores_of_the_database": shares},
        runs=bench.plan.turns,
        spread=max(one.spread, two.spread),
    )
