"""The picture of a delivery: its attempts as bars and the waits between them, on a scale of time since the accept.

Attempts take milliseconds and waits take hours, so the scale is logarithmic: its ticks say how much time has passed.
Pure: `now` is an argument.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log1p

from service.domain.deliveries import Attempt, DeliveryState, Status
from service.domain.endpoints import Endpoint

WIDTH = 1_000  # of the picture, in its own units
BAR_WIDTH = 12  # of an attempt, which is too short to be seen by its own
SHORTEST_S = 10.0
_UNIT_S = 0.1  # where the scale begins to be logarithmic
_TICKS = (("0.1 s", 0.1), ("1 s", 1), ("10 s", 10), ("1 min", 60), ("10 min", 600), ("1 h", 3_600), ("6 h", 21_600),
          ("1 d", 86_400), ("1 week", 604_800), ("30 d", 2_592_000))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark of the scale."""

    x: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBar:
    """An attempt, with the seconds since the accept when it began."""

    x: int
    attempt: Attempt
    after: float

    @property
    def kind(self) -> str:
        """Its style: delivered or failed."""
        return "good" if self.attempt.status is Status.SUCCESS else "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A delivery: its endpoint, its state, its attempts, and where its next attempt belongs."""

    endpoint: Endpoint
    state: DeliveryState
    bars: Sequence[AttemptBar]
    next_x: int | None
    next_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The deliveries of a message on one scale."""

    rows: Sequence[Row]
    ticks: Sequence[Tick]
    width: int = WIDTH
    bar_width: int = BAR_WIDTH


def timeline(
    deliveries: Iterable[tuple[Endpoint, DeliveryState]], attempts: Sequence[Attempt], *, accepted_at: datetime
) -> Timeline:
    """The picture of these deliveries and their attempts."""
    deliveries = list(deliveries)
    times = [attempt.started_at for attempt in attempts]
    times += [state.next_attempt_at for _, state in deliveries if state.next_attempt_at is not None]
    longest = max([SHORTEST_S, *((at - accepted_at).total_seconds() for at in times)])

    def place(seconds: float) -> int:
        return round(log1p(max(seconds, 0) / _UNIT_S) / log1p(longest / _UNIT_S) * (WIDTH - 2 * BAR_WIDTH))

    def row(endpoint: Endpoint, state: DeliveryState) -> Row:
        ours = sorted((one for one in attempts if one.endpoint_id == endpoint.id), key=lambda one: one.started_at)
        after = [(one.started_at - accepted_at).total_seconds() for one in ours]
        bars = [
            AttemptBar(x=place(seconds), attempt=one, after=seconds) for one, seconds in zip(ours, after, strict=True)
        ]
        coming = None if state.next_attempt_at is None else (state.next_attempt_at - accepted_at).total_seconds()
        next_x = None if coming is None else place(coming)
        return Row(endpoint=endpoint, state=state, bars=bars, next_x=next_x, next_after=coming)

    ticks = [Tick(x=place(seconds), label=label) for label, seconds in _TICKS if seconds <= longest]
    return Timeline(rows=[row(*delivery) for delivery in deliveries], ticks=ticks)
