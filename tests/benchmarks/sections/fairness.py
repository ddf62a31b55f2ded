"""A thousand endpoints, of which fifty never answer and fifty fail at once: what the others notice of it.

The process has been at work for a while when the trouble begins, in either variant: the first second of a process is
slow by itself, and of so few deliveries it would be the slowest hundredth.
"""

from contextlib import ExitStack
from functools import partial
from statistics import median

from service.adapters.postgres.server.wakeups import CHANNEL
from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY, Database
from tests.benchmarks.load import Job, Load
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.owed import keep
from tests.benchmarks.sections.deliver import until

HEALTHY, SILENT, FAILING = 900, 50, 50
RATE = 100.0
WAITING = 20
WARM_UP = 3.0  # seconds
NOBODY_LISTENS = "http://127.0.0.1:9"

# Each in an application of its own, whose uid is its number, with the key of the endpoint that is there.
_TENANTS = """
WITH template AS (SELECT * FROM endpoint WHERE id NOT LIKE 'ep_tenant%'), tenant AS (
    INSERT INTO application (id, org_id, uid, name, metadata, created_at, updated_at)
    SELECT 'app_tenant' || n, org_id, n::text, 'tenant', '{}', now(), now()
    FROM template, generate_series($2::int, $3::int - 1) n
)
INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets, headers, created_at,
                      updated_at)
SELECT 'ep_tenant' || n, org_id, 'app_tenant' || n, $1 || '/' || n, '', 1, false, '{}', secrets, headers, now(), now()
FROM template, generate_series($2::int, $3::int - 1) n
"""
_OWE = """
INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
SELECT e.id, m.id, e.org_id, e.app_id, now() FROM endpoint e, message m
WHERE e.id = ANY (SELECT 'ep_tenant' || n FROM generate_series($2::int, $3::int - 1) n) AND m.id LIKE $1 || '%'
"""


def measure(bench: Bench) -> list[Row]:
    """The healthy ones alone, then the same load with the others beside them."""
    seconds, turns = bench.plan.size(25, 5), bench.plan.size(3, 1)
    measured = [[_delays(bench, seconds=seconds, bad=bad) for bad in (False, True)] for _ in range(turns)]
    alone, beside = (median(delays["p99"] for delays in variant) for variant in zip(*measured, strict=True))
    ratios = [after["p99"] / before["p99"] for before, after in measured]
    result = partial(
        Result,
        section="fairness",
        promise=f"each message to {HEALTHY} endpoints received once, its signature verified",
    )
    return [
        result(
            key="ratio",
            value=median(ratios),
            target=Target(must=2, aim=1.2, better="lower"),
            meaning=f"times the p99 of {HEALTHY} healthy endpoints, once {SILENT} that never answer and {FAILING} that"
            f" fail at once, with {WAITING} deliveries waiting for each, are beside them",
            raw={"turns": [{"without": before, "with": after} for before, after in measured], "seconds": seconds},
            runs=turns,
            spread=(max(ratios) - min(ratios)) / median(ratios),
        ),
        result(
            key="p99_ms",
            value=beside,
            target=Target(must=200, aim=50, better="lower"),
            meaning=f"ms from sender to receiver at {RATE:.0f} messages/s, with them",
        ),
        result(
            key="p99_ms_without",
            value=alone,
            target=Target(must=100, aim=25, better="lower"),
            meaning=f"ms from sender to receiver at {RATE:.0f} messages/s, without them",
        ),
    ]


def _delays(bench: Bench, *, seconds: float, bad: bool) -> dict[str, float]:
    """The healthy ones' delays."""
    with ExitStack() as stack:
        healthy, silent = (stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex())) for _ in range(2))
        used = stack.enter_context(bench.database("fairness"))
        used.add_application(NOBODY_LISTENS)
        owed = keep(used, messages=WAITING)
        used.execute(_TENANTS, healthy.url, 0, HEALTHY)
        used.execute(_TENANTS, f"{silent.url}/after/600000", HEALTHY, HEALTHY + SILENT)
        used.execute(_TENANTS, NOBODY_LISTENS, HEALTHY + SILENT, HEALTHY + SILENT + FAILING)
        process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        requests = [relevo.message(str(tenant)) for tenant in range(HEALTHY)]

        def send(seconds: float) -> Load:
            done, _ = bench.drive(Job(port=process.port, requests=requests, rate=RATE, seconds=seconds), process)
            until(lambda: bool(healthy.ask("GET", "/count") >= done.accepted))
            return done

        send(WARM_UP)
        processes.exchange(healthy.port, "POST", "/forget")
        if bad:
            used.execute(_OWE, owed, HEALTHY, HEALTHY + SILENT + FAILING)
            used.execute(f"NOTIFY {CHANNEL}")
        done = send(seconds)
        report = healthy.ask("GET", "/report")
        tried = _tried(used)
    check(done.accepted == done.answered and not done.unsent, f"every message accepted: {done.statuses}")
    check(report["verified"] == report["distinct"] == done.accepted, f"each arrives once, signed: {report}")
    check(tried >= (FAILING if bad else 0), f"those that fail were tried as well: {tried} times")
    return {**report["delays_ms"], "accept_p99": done.p99_ms}


def _tried(used: Database) -> int:
    """Attempts that failed."""
    return int(used.value("SELECT count(*) FROM attempt WHERE status <> 0"))
