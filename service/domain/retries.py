"""When to try a delivery again. Pure: time and chance come in as arguments, nothing is read or written."""

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from service.domain.deliveries import Answered, ErrorType, Failed, Outcome

Schedule = tuple[timedelta, ...]

JITTER = 0.2
TIMEOUT_FLOOR = timedelta(seconds=60)
LONGEST_WISH = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The receiver took it: a 2xx."""


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
    """410: the receiver wants no more, so the endpoint is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """Nothing was sent: the endpoint is disabled or deleted, or the payload was removed. `reason` says which."""

    reason: str


Verdict = Delivered | TryAgain | Exhausted | Gone | Canceled


def judge(outcome: Outcome, *, attempt: int, schedule: Schedule, chance: float) -> Verdict:
    """What follows from the outcome of attempt number `attempt` (from 1).

    `chance` is uniform in [0, 1) and spreads the delay by 20 % to either side. `Retry-After` on 429 and 503 is
    honoured up to twice the scheduled delay, and nobody comes back before it; a timeout waits at least a minute (or as
    long as the schedule's own longest delay, when that is shorter).
    """
    if outcome.succeeded:
        return Delivered()
    if isinstance(outcome, Answered) and outcome.status == 410:
        return Gone()
    if attempt > len(schedule):
        return Exhausted(reason="attempts_used_up")
    delay = _delay(outcome, schedule, attempt)
    return TryAgain(delay=max(_spread(delay, chance), _asked(outcome, most=delay)))


def rest(outcome: Outcome) -> timedelta | None:
    """How long the endpoint gets no delivery at all, at the least; None when the outcome is no reason for a rest.

    A receiver that is overloaded or away is, whoever asks; a 500, a timeout or a reset may be about one message.
    `Retry-After` counts for a minute at most: longer than that, what waits would not notice that it is well again.
    """
    match outcome:
        case Answered(status=429 | 503, retry_after=timedelta() as wish):
            return min(wish, LONGEST_WISH)
        case Answered(status=429 | 502 | 503 | 504):
            return timedelta()
        case Failed(error_type=ErrorType.CONNECT | ErrorType.DNS | ErrorType.TLS | ErrorType.EGRESS):
            return timedelta()
        case _:
            return None


def _delay(outcome: Outcome, schedule: Schedule, attempt: int) -> timedelta:
    scheduled = schedule[attempt - 1]
    match outcome:
        case Answered(status=429 | 503, retry_after=timedelta() as wish):
            return min(max(wish, scheduled), scheduled * 2)
        case Answered():
            return scheduled
        case Failed(error_type=ErrorType.TIMEOUT):
            return max(scheduled, min(TIMEOUT_FLOOR, max(schedule)))
        case Failed():
            return scheduled
        case _:
            assert_never(outcome)


def _asked(outcome: Outcome, *, most: timedelta) -> timedelta:
    match outcome:
        case Answered(status=429 | 503, retry_after=timedelta() as wish):
            return min(wish, most)
        case _:
            return timedelta()


def _spread(delay: timedelta, chance: float) -> timedelta:
    return delay * (1 - JITTER + 2 * JITTER * chance)
