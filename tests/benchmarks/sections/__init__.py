"""The sections of the benchmark, a module for each: `measure(bench)` gives its rows."""

from collections.abc import Callable
from importlib import import_module

from tests.benchmarks.bench import Bench
from tests.benchmarks.measure import Row

NAMES = (
    "generator",
    "accept",
    "middleware",
    "tax",
    "collector",
    "deliver",
    "streams",
    "latency",
    "punctuality",
    "saturation",
    "fairness",
    "backlog",
    "lists",
    "console",
    "retention",
    "memory",
    "imports",
    "start",
    "processes",
    "scale",
    "databases",
    "capacity",
)

AT_LENGTH = frozenset(
    {"collector", "punctuality", "fairness", "retention", "imports", "databases", "capacity"}
)  # what takes too long for a short run


def section(name: str) -> Callable[[Bench], list[Row]]:
    """What measures it."""
    measure: Callable[[Bench], list[Row]] = import_module(f"{__name__}.{name}").measure
    return measure
