"""What a process holds on to: the resident set after many messages, accepted and delivered, against a tenth of them."""

from contextlib import ExitStack

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.sections.deliver import until

PATIENCE = 600.0


def measure(bench: Bench) -> list[Row]:
    """One `relevo serve` that accepts and delivers."""
    many = bench.plan.size(100_000, 2_000)
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        used = stack.enter_context(bench.database("memory"))
        process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        app_id = used.add_application(*(f"{receiver.url}/{nth}" for nth in range(2)))
        resident = []
        for count in (many // 10, many - many // 10):
            job = Job(
                port=process.port, requests=[relevo.message(app_id)], connections=8, count=count, seconds=PATIENCE
            )
            done, _ = bench.drive(job, process)
            check(done.accepted >= count, f"all were accepted: {done.statuses}")
            until(lambda: used.count("pending_delivery") == 0, PATIENCE)
            processes.exchange(receiver.port, "POST", "/forget")
            resident.append(process.resident_mb)
        kept = used.count("settled_delivery")
    first, last = resident
    promise = f"{kept:,} deliveries settled"
    told = f"{last:.0f} MB after {many:,} messages, {first:.0f} MB after {many // 10:,}"
    return [
        Result(
            section="memory",
            key="growth",
            value=last / first,
            target=Target(must=1.2, aim=1.05, better="lower"),
            meaning=told,
            promise=promise,
            raw={"resident_mb": resident, "messages": many},
        ),
        Result(
            section="memory",
            key="mb",
            value=last,
            target=Target(must=200, aim=120, better="lower"),
            meaning="MB resident, one process that accepts and delivers",
            promise=promise,
        ),
    ]
