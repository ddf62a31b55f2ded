"""An ordered destination of an application, and what the result of a batch does to it. Pure: time and chance are
arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain import retries
from service.domain.ids import ApplicationId, DestinationId, OrgId
from service.domain.outcomes import Outcome, RefusedForGood, RefusedForNow, is_our_fault
from service.domain.retries import Schedule, TryAgain
from service.domain.sinks import Sink, SinkKind

MAX_BATCH_SIZE, MAX_WAIT_SECS = 1_000, 300
FALLBACK_WAIT = timedelta(seconds=5)  # of a schedule without any retry, since an ordered destination cannot give up


class OrderedStatus(StrEnum):
    """Whether it is sent messages; the words are the API's. A stored one is never `retrying`: that is enabled, and the
    last batch has failed."""

    ENABLED = "enabled"
    PAUSED = "paused"  # by a request
    DISABLED = "disabled"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrderedDestination:
    """The fields of a destination that a caller sets. None as event types or channels means all."""

    sink: Sink
    uid: str | None = None
    status: OrderedStatus = OrderedStatus.ENABLED
    batch_size: int = 1
    max_wait_secs: int = 0
    event_types: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedDestination(NewOrderedDestination):
    """A destination as stored. Everything up to `position` is done. Its signing secrets are read separately.

    `attempts` have failed in a row since `first_failed_at`; the next one is due at `due_at`.
    """

    id: DestinationId
    app_id: ApplicationId
    org_id: OrgId
    created_at: datetime
    updated_at: datetime
    position: int
    due_at: datetime
    attempts: int = 0
    first_failed_at: datetime | None = None
    failure_reason: str | None = None

    @property
    def shown_status(self) -> OrderedStatus:
        """The status that callers see."""
        is_retrying = self.status is OrderedStatus.ENABLED and self.attempts > 0
        return OrderedStatus.RETRYING if is_retrying else self.status

    @property
    def next_retry_at(self) -> datetime | None:
        """When the batch that failed is sent again; None when none has."""
        return self.due_at if self.shown_status is OrderedStatus.RETRYING else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """What a consumer of a polled destination has read: everything up to `position` for good, and up to `polled` with
    its last poll, if that is not for good yet. One that `acknowledges` says itself, by an iterator, what it has."""

    position: int
    polled: int | None = None
    acknowledges: bool = False


def usual_batch_size(kind: SinkKind) -> int:
    """The batch size of a destination that was made without one. A receiver of webhooks gets them as endpoints do."""
    return 1 if kind is SinkKind.FIFO else 100


def changed(known: OrderedDestination, wanted: OrderedDestination, *, at: datetime) -> OrderedDestination:
    """The destination after a request. One that is enabled, or sent elsewhere, is tried at once and has not failed."""
    wanted = replace(wanted, updated_at=at)
    if wanted.status is known.status and wanted.sink == known.sink:
        return wanted
    if wanted.status is not OrderedStatus.ENABLED:
        return wanted
    return replace(wanted, attempts=0, first_failed_at=None, due_at=at, failure_reason=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How many attempts have failed in a row, and since when."""

    attempts: int = 0
    first_failed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """What a batch that failed does to its destination: it is sent again after `delay`, or the destination is
    `disabled`."""

    standing: Standing
    delay: timedelta
    reason: str
    disabled: bool


def setback(
    standing: Standing, outcome: Outcome, *, at: datetime, schedule: Schedule, disable_after: timedelta, chance: float
) -> Setback:
    """The setback by this outcome, which is no success. `chance` is uniform in [0, 1).

    The schedule's last wait is repeated, and a receiver's own wait counts as long as that. A fault of ours disables
    nothing.
    """
    attempts = standing.attempts + 1
    since = standing.first_failed_at or at
    is_over = since <= at - disable_after and not is_our_fault(outcome)
    return Setback(
        standing=Standing(attempts=attempts, first_failed_at=since),
        delay=_delay(outcome, attempt=attempts, schedule=schedule or (FALLBACK_WAIT,), chance=chance),
        reason=_reason(outcome),
        disabled=is_over or isinstance(outcome, RefusedForGood),
    )


def _delay(outcome: Outcome, *, attempt: int, schedule: Schedule, chance: float) -> timedelta:
    if isinstance(outcome, RefusedForNow) and outcome.wait is not None:
        return min(outcome.wait, max(schedule))
    verdict = retries.judge(outcome, attempt=min(attempt, len(schedule)), schedule=schedule, chance=chance)
    return verdict.delay if isinstance(verdict, TryAgain) else schedule[-1]


def _reason(outcome: Outcome) -> str:
    """A sentence for the tenant, without anything that a receiver wrote."""
    status = outcome.exchange.status
    if isinstance(outcome, RefusedForGood):
        return f"The receiver wants no more messages ({status})." if status else "The receiver wants no more messages."
    return f"The receiver answered {status}." if status else outcome.exchange.text
