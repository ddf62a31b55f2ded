"""Middleware written with `call_next`, around a route of Starlette that says hello."""

from contextlib import ExitStack
from functools import partial

from tests.benchmarks import relevo, wire
from tests.benchmarks.bench import Bench
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.processes import Process

CONNECTIONS = 32


def measure(bench: Bench) -> list[Row]:
    """Ours against none and against Starlette's base, in turns; all set a header on the answer."""
    with ExitStack() as stack:
        names = ("bare", "call_next", "base")
        running = {name: stack.enter_context(relevo.contender(f"trivial:{name}", {})) for name in names}
        variants = {name: partial(requests_per_second, bench, process) for name, process in running.items()}
        figures = in_turns(bench.plan.turns, variants)
    ours, spread = figures["call_next"].median, max(figure.spread for figure in figures.values())
    rows = (
        ("vs_bare", "bare", Target(must=0.85, aim=0.95), "of no middleware"),
        ("vs_base", "base", Target(must=1.8, aim=2.2), "times Starlette's BaseHTTPMiddleware"),
    )
    return [
        Result(
            section="middleware",
            key=key,
            value=ours / figures[other].median,
            target=target,
            meaning=f"{ours:,.0f} requests/s, {of} ({figures[other].median:,.0f}/s)",
            promise="every answer a 200",
            raw=raw(figures),
            runs=bench.plan.turns,
            spread=spread,
        )
        for key, other, target, of in rows
    ]


def requests_per_second(bench: Bench, process: Process) -> Turn:
    """How often the route says hello."""
    job = Job(port=process.port, requests=[wire.get("/hello")], connections=CONNECTIONS, seconds=bench.plan.seconds)
    done, turn = bench.drive(job, process)
    check(set(done.statuses) == {"200"}, f"every answer is a 200: {done.statuses}")
    return turn
