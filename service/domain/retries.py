"""When to retry a delivery. Pure: time and chance are arguments."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from service.domain.outcomes import ErrorType, Failed, Outcome, RefusedForGood, RefusedForNow, Taken

Schedule = tuple[timedelta, ...]

JITTER = 0.2
MIN_DELAY_AFTER_TIMEOUT = timedelta(seconds=60)
MAX_RECEIVER_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The receiver accepted the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryAgain:
    """A failure, and there are retries left. `delay` counts from the attempt's end."""

    delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """A failure, and there is no retry left. `reason` is from a closed list and fit for a metric label."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The receiver wants no more messages, so the endpoint is disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """No attempt was made: the endpoint is disabled or deleted, or the payload was removed. `reason` says which."""

    reason: str


Verdict = Delivered | TryAgain | Exhausted | Gone | Canceled


def judge(outcome: Outcome, *, attempt: int, schedule: Schedule, chance: float) -> Verdict:
    """The verdict on the outcome of attempt number `attempt` (from 1).

    `chance` is uniform in [0, 1) and gives the delay a jitter of 20 % to either side. A receiver's `Retry-After` is
    honoured up to twice the scheduled delay. After a timeout the delay is at least a minute (or the schedule's longest
    delay, if that is shorter).
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
            floor = min(MIN_DELAY_AFTER_TIMEOUT, max(schedule))
            return TryAgain(delay=_spread(max(schedule[attempt - 1], floor), chance))
        case RefusedForNow() | Failed():
            return TryAgain(delay=_spread(schedule[attempt - 1], chance))
        case _:
            assert_never(outcome)


def rest(outcome: Outcome) -> timedelta | None:
    """The minimum rest of the endpoint, during which it gets no deliveries; None for no rest.

    An overloaded or unreachable receiver is so for every message; an error, a timeout or a reset may concern one
    message. A receiver's `Retry-After` counts up to a minute, so that its recovery is noticed.
    """
    match outcome:
        case RefusedForNow(wait=wish):
            return timedelta() if wish is None else min(wish, MAX_RECEIVER_WAIT)
        case Failed(error_type=ErrorType.CONNECT | ErrorType.DNS | ErrorType.TLS | ErrorType.EGRESS):
            return timedelta()
        case _:
            return None


def pauses(first: float, *, longest: float) -> Iterator[float]:
    """Exponential back-off for our own operations: seconds, doubled each time up to `longest`, without end."""
    pause = first
    while True:
        yield pause
        pause = min(pause * 2, longest)


def _spread(delay: timedelta, chance: float) -> timedelta:
    return delay * (1 - JITTER + 2 * JITTER * chance)
