"""What every section works with: the plan, a PostgreSQL server, and a word on how it is going."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from tests.benchmarks import database, load, profiling
from tests.benchmarks.database import Database, Server
from tests.benchmarks.history import Past
from tests.benchmarks.load import Job, Load
from tests.benchmarks.measure import NotMeasured, Plan, Turn, check
from tests.benchmarks.processes import Process

BUSY = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`build` is where files go; `past` makes databases with months behind them.

    `costs` are the microseconds that each package takes of what was profiled.
    """

    plan: Plan
    server: Server
    past: Past
    console: Console
    build: Path
    costs: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def database(self, name: str) -> Iterator[Database]:
        """A fresh database."""
        with self.server.database(f"bench_{name}_{time.time_ns()}") as used:
            yield used

    def drive(self, job: Job, process: Process) -> tuple[Load, Turn]:
        """Run a job against a process, and make sure that it was not the generator that was measured."""
        worked = process.worked
        done = load.run(job)
        if done.busy >= BUSY:
            raise NotMeasured(f"the load generator was the bottleneck, busy {done.busy:.0%} of the time")
        check(not done.lost, f"no connection was lost, {done.lost} were")
        return done, Turn(done.per_second, (process.worked - worked) * 1e6 / max(done.answered, 1))

    def profile(self, name: str, process: Process, work: Callable[[], Turn]) -> None:
        """When profiles are asked for: where the time of the process goes while it works."""
        if not self.plan.profile:
            return
        to = self.build / f"{name}.profile.txt"
        with profiling.recording(process.pid, to):
            turn = work()
        stacks = to.read_text()
        self.console.print(f"[bold]{name}[/]: where {turn.cpu_us:.0f} µs go (stacks in {to})")
        for cost in (*profiling.packages(stacks), *profiling.costs(stacks)):
            self.console.print(f"  {cost.share * turn.cpu_us:7.1f} µs  {cost.share:6.1%}  {cost.where}")
        self.costs[name] = {cost.where: round(cost.share * turn.cpu_us, 1) for cost in profiling.packages(stacks)}


@contextmanager
def open_bench(plan: Plan, console: Console, build: Path) -> Iterator[Bench]:
    """A bench with its server, both gone afterwards."""
    build.mkdir(exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(database.running_server())
        yield Bench(plan=plan, server=server, past=Past(server, stack), console=console, build=build)
