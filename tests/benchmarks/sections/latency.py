"""From the moment a message was meant to be sent to its arrival at the receiver: 200 a second, whatever happens."""

from contextlib import ExitStack

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.sections.deliver import until

RATE = 200.0
APPLICATIONS = 20
TARGETS = {"p50_ms": Target(must=50, better="lower"), "p95_ms": Target(must=50, better="lower")}
P99 = Target(must=100, aim=25, better="lower")


def measure(bench: Bench) -> list[Row]:
    """One `relevo serve` that accepts and delivers, with everything it tells going to a live sink."""
    seconds = bench.plan.size(60, 3)
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        sink = stack.enter_context(processes.listening("sink"))
        used = stack.enter_context(bench.database("latency"))
        process = stack.enter_context(relevo.serving(used, relevo.everything_to(sink)))
        apps = [used.add_application(f"{receiver.url}/{nth}") for nth in range(APPLICATIONS)]
        job = Job(port=process.port, requests=list(map(relevo.message, apps)), rate=RATE, seconds=seconds)
        done, turn = bench.drive(job, process)
        until(lambda: bool(receiver.ask("GET", "/count") >= done.accepted))
        report = receiver.ask("GET", "/report")
    check(done.accepted == done.answered and not done.unsent, f"every message accepted: {done.statuses}")
    check(report["verified"] == report["distinct"] == done.accepted, f"each arrives once, signed: {report}")
    delays = {f"{share}_ms": delay for share, delay in report["delays_ms"].items()}
    return [
        Result(
            section="latency",
            key=key,
            value=delay,
            target=P99 if key == "p99_ms" else TARGETS[key],
            meaning=f"ms from sender to receiver at {RATE:.0f} messages/s, everything exported"
            f" (answered after {getattr(done, key):.1f} ms)",
            promise=f"{done.accepted:,} messages, each received once, its signature verified",
            raw={**delays, "accept_p99_ms": done.p99_ms, "cpu_us": turn.cpu_us, "seconds": seconds},
        )
        for key, delay in delays.items()
    ]
