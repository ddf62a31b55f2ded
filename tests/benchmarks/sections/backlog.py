"""With a day's worth of deliveries waiting for their retries: do accepting and claiming cost more than with none?"""

from contextlib import ExitStack
from datetime import timedelta
from functools import partial

from tests.benchmarks import relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.claiming import BATCH, BATCHES, claimed
from tests.benchmarks.database import Database
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Result, Row, Target, Turn, in_turns, raw
from tests.benchmarks.owed import owe, settle_down
from tests.benchmarks.sections.accept import ENDPOINTS, accepted

DESTINATIONS = 500
LATER = timedelta(hours=12)


def measure(bench: Bench) -> list[Row]:
    """Two databases, one with the backlog, in turns: claims of what is due, then accepts with no engine at work."""
    backlog = bench.plan.size(1_000_000, 5_000)
    with ExitStack() as stack:
        databases = {name: stack.enter_context(bench.database(name)) for name in ("none", "backlog")}
        for name, used in databases.items():
            used.add_application(*(f"http://127.0.0.1:9/{nth}" for nth in range(DESTINATIONS)))
            owe(used, messages=2 * BATCH * BATCHES // DESTINATIONS)
            if name == "backlog":
                owe(used, messages=backlog // DESTINATIONS, later=LATER)
            settle_down(used)
        claims = in_turns(bench.plan.turns, {name: partial(claimed, used) for name, used in databases.items()})
        for used in databases.values():
            used.execute("DELETE FROM pending_delivery WHERE due_at < now() + interval '1 hour'")
        accepts = in_turns(bench.plan.turns, {name: _accepting(bench, stack, used) for name, used in databases.items()})
    return [
        Result(
            section="backlog",
            key=key,
            value=figures["backlog"].median / figures["none"].median,
            target=Target(must=0.9, aim=1.0),
            meaning=f"{figures['backlog'].median:,.0f} {what}/s with {backlog:,} waiting,"
            f" {figures['none'].median:,.0f}/s with none",
            promise=promise,
            raw={f"{key}_{name}": turns for name, turns in raw(figures).items()},
            runs=bench.plan.turns,
            spread=max(figure.spread for figure in figures.values()),
        )
        for key, what, figures, promise in (
            ("accept", "messages", accepts, "a row for every 202, two deliveries for every row"),
            ("claim", "claims", claims, "each delivery claimed once"),
        )
    ]


def _accepting(bench: Bench, stack: ExitStack, used: Database) -> "partial[Turn]":
    process = stack.enter_context(relevo.serving(used, relevo.SILENT))
    request = relevo.message(used.add_application(*ENDPOINTS), later=True)
    job = Job(port=process.port, requests=[request], seconds=bench.plan.seconds)
    return partial(accepted, bench, job, used, process)
