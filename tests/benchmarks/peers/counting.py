"""What became of the messages that were accepted. Pure: what was sent and what arrived come in as arguments."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Arrival(NamedTuple):
    """A call at the receiver; `stamp` is the moment that its message was meant to be sent, and unlike all others'."""

    stamp: int
    at: int
    path: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """`lost` are deliveries of accepted messages that never arrived, `doubled` calls too many, `unexpected` calls with
    messages that were not accepted.
    """

    accepted: int
    delivered: int
    lost: int
    doubled: int
    unexpected: int
    unverified: int
    per_second: float
    p50_ms: float
    p99_ms: float


def count(accepted: Sequence[int], arrivals: Sequence[Arrival], *, fan_out: int) -> Delivered:
    """Each accepted stamp is owed to `fan_out` paths, once each. `per_second` lasts from the first message to the last
    arrival.
    """
    calls: dict[int, Counter[str]] = {stamp: Counter() for stamp in accepted}
    first_at: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for arrival in arrivals:
        if arrival.stamp in calls:
            calls[arrival.stamp][arrival.path] += 1
            first_at[arrival.stamp].setdefault(arrival.path, arrival.at)
    delays = sorted((at - stamp) / 1e6 for stamp, paths in first_at.items() for at in paths.values())
    delivered = sum(min(len(paths), fan_out) for paths in calls.values())
    wanted = sum(paths.total() for paths in calls.values())
    last = max((at for paths in first_at.values() for at in paths.values()), default=0)
    return Delivered(
        accepted=len(calls),
        delivered=delivered,
        lost=len(calls) * fan_out - delivered,
        doubled=wanted - delivered,
        unexpected=len(arrivals) - wanted,
        unverified=sum(not arrival.verified for arrival in arrivals),
        per_second=delivered / ((last - min(calls)) / 1e9) if delivered else 0.0,
        p50_ms=_percentile(delays, 0.50),
        p99_ms=_percentile(delays, 0.99),
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
