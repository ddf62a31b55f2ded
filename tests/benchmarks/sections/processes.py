"""Two workers on one database, against one; receivers that take 20 ms."""

from contextlib import ExitStack
from functools import partial

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.measure import Figures, Result, Row, Target, in_turns, raw
from tests.benchmarks.sections.deliver import ENDPOINTS, delivered

MILLISECONDS = 20
CONCURRENCY = 16  # what one worker can have under way bounds it, not the machine: 800/s


def measure(bench: Bench) -> list[Row]:
    """One worker and two, in turns. Each has a database of its own."""
    calls = bench.plan.size(10_000, 400)
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        turns = {}
        for name, count in (("one", 1), ("two", 2)):
            used = stack.enter_context(bench.database(f"{name}_workers"))
            used.add_application(*(f"{receiver.url}/after/{MILLISECONDS}/{nth}" for nth in range(ENDPOINTS)))
            environ = {**relevo.SILENT, "RELEVO_CONCURRENCY": str(CONCURRENCY)}
            workers = [stack.enter_context(relevo.working(used, environ)) for _ in range(count)]
            turns[name] = partial(delivered, used, receiver, workers, calls)
        figures = in_turns(bench.plan.turns, turns)
    return [_result(bench, figures)]


def _result(bench: Bench, figures: dict[str, Figures]) -> Result:
    one, two = figures["one"], figures["two"]
    return Result(
        section="processes",
        key="two_vs_one",
        value=two.median / one.median,
        target=Target(must=1.5, aim=1.9),
        meaning=f"{two.median:,.0f} deliveries/s by two, {one.median:,.0f}/s by one, {CONCURRENCY} under way each",
        promise="each received once, its signature verified, and settled",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=max(one.spread, two.spread),
    )
