"""Figures that can be trusted a little: variants take turns, the median speaks, the spread is told."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to measure. A short run shows that everything works: one turn of half a second, and small tables."""

    short: bool
    profile: bool

    @property
    def turns(self) -> int:
        """How often each variant is measured."""
        return 1 if self.short else 5

    @property
    def seconds(self) -> float:
        """How long each turn takes."""
        return 0.5 if self.short else 5.0

    def size(self, full: int, short: int) -> int:
        """A number of rows."""
        return short if self.short else full


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn gave: how many a second, and the processor time of the measured process for each.

    Other work on the machine takes from the first and leaves the second almost alone.
    """

    per_second: float
    cpu_us: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the turns of one variant gave."""

    turns: tuple[Turn, ...]

    @property
    def median(self) -> float:
        """The middle one of how many a second."""
        return statistics.median(turn.per_second for turn in self.turns)

    @property
    def cpu_us(self) -> float:
        """The middle one of the costs."""
        return statistics.median(turn.cpu_us for turn in self.turns)

    @property
    def spread(self) -> float:
        """From the smallest to the largest, as a share of the median."""
        values = [turn.per_second for turn in self.turns]
        return (max(values) - min(values)) / self.median if self.median else 0.0


def in_turns(turns: int, variants: Mapping[str, Callable[[], Turn]]) -> dict[str, Figures]:
    """Measure A B A B: what the machine does meanwhile happens to all of them."""
    measured: dict[str, list[Turn]] = {name: [] for name in variants}
    for _ in range(turns):
        for name, measure in variants.items():
            measured[name].append(measure())
    return {name: Figures(tuple(values)) for name, values in measured.items()}


def raw(figures: Mapping[str, Figures]) -> dict[str, object]:
    """Every turn of every variant, as it is kept beside the figure."""
    return {name: [asdict(turn) for turn in figure.turns] for name, figure in figures.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure must reach, and what it is meant to reach."""

    must: float
    aim: float | None = None
    better: Literal["higher", "lower"] = "higher"

    def reached_by(self, value: float) -> bool:
        """Whether it is good enough."""
        return value >= self.must if self.better == "higher" else value <= self.must


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One figure of a section. `promise` is what was checked while it was measured, `meaning` how to read it."""

    section: str
    key: str
    value: float
    target: Target
    meaning: str
    promise: str
    raw: Mapping[str, object] = field(default_factory=dict)
    runs: int = 1
    spread: float | None = None

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A figure that was not measured, and why; `failed` when that is a fault of Relevo or of the benchmark."""

    section: str
    key: str
    reason: str
    failed: bool = False

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"


Row = Result | LeftOut


class NotMeasured(Exception):
    """The machine, or something beside what is measured, did not allow it."""


class PromiseBroken(Exception):
    """A figure was reached by not doing the work."""


def check(holds: object, promise: str) -> None:
    """PromiseBroken unless it holds."""
    if not holds:
        raise PromiseBroken(promise)
