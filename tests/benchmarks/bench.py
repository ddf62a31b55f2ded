"""What every section works with: the plan, a PostgreSQL server, and a word on how it is going."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.benchmarks import database, load, profiling
from tests.benchmarks.database import Database, Server
from tests.benchmarks.load import Job, Load
from tests.benchmarks.measure import Plan, check
from tests.benchmarks.processes import Process

BUSY = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`build` is where files go."""

    plan: Plan
    server: Server
    console: Console
    build: Path

    @contextmanager
    def database(self, name: str) -> Iterator[Database]:
        """A fresh database."""
        with self.server.database(f"bench_{name}_{time.time_ns()}") as used:
            yield used

    def drive(self, job: Job) -> Load:
        """Run a job, and make sure that it was not the generator that was measured."""
        done = load.run(job)
        check(done.busy < BUSY, f"the load generator is not the bottleneck, it was busy {done.busy:.0%} of the time")
        return done

    def profile(self, name: str, process: Process, job: Job) -> None:
        """When profiles are asked for: one of the process while it does the job."""
        if not self.plan.profile:
            return
        with load.running(job) as running:
            costs = profiling.record(process.pid, self.build / f"{name}.profile.txt", seconds=job.seconds)
            done = running()
        self.console.print(f"[bold]{name}[/]: where {1e6 / done.per_second:.0f} µs go (share of the loop's thread)")
        for cost in costs:
            self.console.print(f"  {cost.share * 1e6 / done.per_second:7.1f} µs  {cost.share:6.1%}  {cost.where}")


@contextmanager
def open_bench(plan: Plan, console: Console, build: Path) -> Iterator[Bench]:
    """A bench with its server, both gone afterwards."""
    build.mkdir(exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(database.running_server())
        yield Bench(plan=plan, server=server, console=console, build=build)
