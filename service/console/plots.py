"""Plots as bars: where each bar stands and how tall it is. The templates draw them as SVG, with a table beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

HEIGHT = 100
GAP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What happened in a span of time that begins at `at`."""

    at: datetime
    good: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bucket with its place; the bad part stands on the good one."""

    bucket: Bucket
    x: int
    width: int
    good_height: int
    bad_height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Bars from left to right, `most` being the tallest one's value."""

    bars: Sequence[Bar]
    most: int
    width: int
    height: int = HEIGHT


def plot(buckets: Sequence[Bucket], *, bar_width: int = 20) -> Plot:
    """The plot of these buckets. What is not nothing can be seen."""
    most = max((bucket.good + bucket.bad for bucket in buckets), default=0)

    def height(count: int) -> int:
        return max(1, round(HEIGHT * count / most)) if count else 0

    bars = [
        Bar(
            bucket=bucket,
            x=nth * bar_width,
            width=bar_width - GAP,
            good_height=height(bucket.good),
            bad_height=height(bucket.bad),
        )
        for nth, bucket in enumerate(buckets)
    ]
    return Plot(bars=bars, most=most, width=max(1, len(buckets)) * bar_width)
