"""What was measured, as tables and as `bench-peers.json`."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.peers.scenarios import Measurement
from tests.benchmarks.peers.turns import Turn

Turns = Mapping[str, Sequence[Turn]]  # by contender

FIGURES: Mapping[str, Callable[[Turn], float]] = {
    "accepted/s": lambda turn: turn.accepted_per_second,
    "delivered/s until all had arrived": lambda turn: turn.delivered.per_second,
    "answered after p50, ms": lambda turn: turn.answered_p50_ms,
    "send to arrival p50, ms": lambda turn: turn.delivered.p50_ms,
    "send to arrival p99, ms": lambda turn: turn.delivered.p99_ms,
    "processor time a message: service, µs": lambda turn: turn.service_us,
    "processor time a message: databases, µs": lambda turn: turn.databases_us,
    "processor time a message: both, µs": lambda turn: turn.service_us + turn.databases_us,
    "processor time a delivery: both, µs": lambda turn: turn.delivery_us,
    "peak resident memory of the service, MB": lambda turn: turn.peak_mb,
    "foreign load, cores": lambda turn: turn.foreign,
}
COUNTS: Mapping[str, Callable[[Turn], int]] = {
    "accepted": lambda turn: turn.delivered.accepted,
    "refused or not sent": lambda turn: turn.refused,
    "delivered": lambda turn: turn.delivered.delivered,
    "lost": lambda turn: turn.delivered.lost,
    "doubled": lambda turn: turn.delivered.doubled,
    "unexpected": lambda turn: turn.delivered.unexpected,
    "signature not verified": lambda turn: turn.delivered.unverified,
}


def tell_turn(measurement: Measurement, contender: str, turn: Turn, console: Console) -> None:
    """A line for one turn."""
    console.print(
        f"{measurement.name} {contender}: {turn.accepted_per_second:,.0f} accepted/s,"
        f" {turn.delivered.per_second:,.0f} delivered/s, p50 {turn.delivered.p50_ms:.1f} ms,"
        f" p99 {turn.delivered.p99_ms:.1f} ms, {turn.service_us:,.0f} + {turn.databases_us:,.0f} µs,"
        f" lost {turn.delivered.lost}, doubled {turn.delivered.doubled}, foreign load {turn.foreign:.2f}",
        highlight=False,
    )


def tell(measurement: Measurement, turns: Turns, console: Console) -> None:
    """Medians and their ratios to the first contender's; sums of what was counted."""
    measured = [name for name, taken in turns.items() if taken]
    if not measured:
        return
    first, *others = measured
    table = Table(title=f"{measurement.name}: {measurement.loop}, {measurement.seconds:g} s, {measurement.turns} turns")
    table.add_column("figure")
    table.add_column(first, justify="right")
    for name in others:
        table.add_column(name, justify="right")
        table.add_column(f"of {first}", justify="right")
    for figure, value in FIGURES.items():
        base = _median(turns[first], value)
        table.add_row(figure, _written(base), *(cell for name in others for cell in _cells(turns[name], value, base)))
    for counted, number in COUNTS.items():
        sums = [f"{sum(map(number, turns[name])):,}" for name in measured]
        table.add_row(counted, sums[0], *(cell for text in sums[1:] for cell in (text, "")))
    console.print(table)


def shape(measured: Mapping[Measurement, Turns]) -> dict[str, Any]:
    """What `bench-peers.json` holds: medians, and every turn beside them."""
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()},
        "measurements": [
            {
                "name": measurement.name,
                **asdict(measurement),
                "contenders": {
                    name: {
                        "medians": {figure: round(_median(taken, value), 3) for figure, value in FIGURES.items()},
                        "counts": {counted: sum(map(number, taken)) for counted, number in COUNTS.items()},
                        "turns": [asdict(turn) for turn in taken],
                    }
                    for name, taken in turns.items()
                    if taken
                },
            }
            for measurement, turns in measured.items()
        ],
    }


def _cells(taken: Sequence[Turn], value: Callable[[Turn], float], base: float) -> tuple[str, str]:
    median = _median(taken, value)
    return _written(median), f"{median / base:.2f}" if base else ""


def _median(taken: Sequence[Turn], value: Callable[[Turn], float]) -> float:
    return statistics.median(map(value, taken))


def _written(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
