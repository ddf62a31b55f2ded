"""How long `relevo serve` takes to be ready, with its own PostgreSQL in a data directory that is there already."""

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.measure import Result, Row, Target


def measure(bench: Bench) -> list[Row]:
    """The first start makes the directory and does not count."""
    directory = Path(tempfile.mkdtemp(prefix="relevo-start-"))
    try:
        first, *warm = (_start(directory) for _ in range(bench.plan.turns + 1))
    finally:
        shutil.rmtree(directory)
    middle = statistics.median(warm)
    return [
        Result(
            section="start",
            key="seconds",
            value=middle,
            target=Target(must=3, aim=1, better="lower"),
            meaning=f"s from the command to ready, PostgreSQL included ({first:.1f} s the very first time)",
            promise="/readyz answers 200",
            raw={"warm_seconds": warm, "first_seconds": first},
            runs=bench.plan.turns,
            spread=(max(warm) - min(warm)) / middle,
        )
    ]


def _start(directory: Path) -> float:
    port = processes.free_port()
    environ = {**relevo.SILENT, "RELEVO_DATA_DIR": str(directory), "RELEVO_PORT": str(port)}
    began = time.monotonic()
    ready = processes.answers(port, "/readyz")
    with processes.running(["-m", "service", "serve"], port=port, ready=ready, environ=environ):
        return time.monotonic() - began
