"""When to try a delivery again. Pure: time and chance come in as arguments, nothing is read or written."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from service.domain.outcomes import ErrorType, Failed, Outcome, RefusedForGood, RefusedForNow, Taken

Schedule = tuple[timedelta, ...]

JITTER = 0.2
TIMEOUT_FLOOR = timedelta(seconds=60)
LONGEST_WISH = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The receiver took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryAgain:
    """A failure that leaves attempts over. `delay` counts from the attempt's end."""

    delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """A failure, and no attempt is left. `reason` is from a closed list and fit for a metric label."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The receiver wants no more, so the endpoint is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """Nothing was sent: the endpoint is disabled or deleted, or the payload was removed. `reason` says which."""

    reason: str


Verdict = Delivered | TryAgain | Exhausted | Gone | Canceled


def judge(outcome: Outcome, *, attempt: int, schedule: Schedule, chance: float) -> Verdict:
    """What follows from the outcome of attempt number `attempt` (from 1).

    `chance` is uniform in [0, 1) and spreads the delay by 20 % to either side. The wait that a receiver asks for is
    honoured up to twice the scheduled delay, and nobody comes back before it; a timeout waits at least a minute (or as
    long as the schedule's own longest delay, when that is shorter).
    """
    match outcome:
        case Taken():
            return Delivered()
        case RefusedForGood():
            return Gone()
        case RefusedForNow() | Failed() if attempt > len(schedule):
            return Exhausted(reason="attempts_used_up")
        case RefusedForNow(wait=timedelta() as wish):
            most = min(max(wish, schedule[attempt - 1]), schedule[attempt - 1] * 2)
            return TryAgain(delay=max(_spread(most, chance), min(wish, most)))
        case Failed(error_type=ErrorType.TIMEOUT):
            floor = min(TIMEOUT_FLOOR, max(schedule))
            return TryAgain(delay=_spread(max(schedule[attempt - 1], floor), chance))
        case RefusedForNow() | Failed():
            return TryAgain(delay=_spread(schedule[attempt - 1], chance))
        case _:
            assert_never(outcome)


def rest(outcome: Outcome) -> timedelta | None:
    """How long the endpoint gets no delivery at all, at the least; None when the outcome is no reason for a rest.

    A receiver that is overloaded or away is, whoever asks; a fault, a timeout or a reset may be about one message.
    What a receiver asks for counts for a minute at most: longer than that, what waits would not notice that it is well.
    """
    match outcome:
        case RefusedForNow(wait=wish):
            return timedelta() if wish is None else min(wish, LONGEST_WISH)
        case Failed(error_type=ErrorType.CONNECT | ErrorType.DNS | ErrorType.TLS | ErrorType.EGRESS):
            return timedelta()
        case _:
            return None


def pauses(first: float, *, longest: float) -> Iterator[float]:
    """Seconds between one try and the next of what is ours to repeat: twice as long each time, without end."""
    pause = first
    while True:
        yield min(pause, longest)
        pause = min(pause * 2, longest)


def _spread(delay: timedelta, chance: float) -> timedelta:
    return delay * (1 - JITTER + 2 * JITTER * chance)
