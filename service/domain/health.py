"""The health of endpoints: since when one fails, when it is disabled for that, and how long it rests.

`queue/settlements.sql` repeats these rules for many deliveries at a time; one table of cases tests both.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.domain.endpoints import DisabledReason
from service.domain.ids import ApplicationId, EndpointId

DISABLE_AFTER = timedelta(days=5)  # of failures without a success, the default of RELEVO_DISABLE_AFTER
# The first rest, and the limit of its doubling.
MIN_REST, MAX_REST = timedelta(seconds=0.25), timedelta(seconds=30)
REST_SPREAD = 0.25  # jitter of a rest, to either side, so that endpoints that failed together do not return together
MAX_REST_COUNT = 100  # rests in a row are counted up to this
FAILURES_COUNTED = timedelta(days=1)  # the window of counted failures; the schedule's last delays are ten hours
FAILING_AGES = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """`first_failure_at` is the first failure since the last success; `reason` is why it is disabled, if it is."""

    first_failure_at: datetime | None = None
    reason: DisabledReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCondition:
    """How an endpoint stands now: since when nothing has succeeded, and until when it rests; None where it does not."""

    failing_since: datetime | None
    rests_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The results of attempts to one endpoint that are settled together.

    `failed` counts scheduled attempts only, and never a fault of ours. `gone` means that the receiver answered 410.
    """

    succeeded: bool = False
    failed: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Until when an endpoint gets no deliveries, and how many rests it has had in a row."""

    count: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStandings:
    """How many endpoints an application has, and how many of them are disabled, or enabled and failing."""

    endpoints: int
    disabled: int
    failing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingEndpoint:
    """An endpoint without a success since `since`. `failures` counts the failed attempts of the last day."""

    id: EndpointId
    uid: str | None
    app_id: ApplicationId
    app_uid: str | None
    url: str
    since: datetime
    failures: int


def judged(health: EndpointHealth, tried: Tried, *, at: datetime, disable_after: timedelta) -> EndpointHealth:
    """The endpoint's health after these attempts.

    A success ends the series of failures, the first failure begins one. An endpoint that is gone is disabled at once,
    one that has failed for `disable_after` with the next failure. It stays disabled until a request enables it.
    """
    began = None if tried.succeeded else health.first_failure_at or at
    if tried.gone:
        return health if health.reason else EndpointHealth(first_failure_at=began, reason=DisabledReason.GONE)
    if tried.succeeded:
        return replace(health, first_failure_at=None)
    if not tried.failed or health.reason:
        return health
    is_over = health.first_failure_at is not None and health.first_failure_at <= at - disable_after
    return EndpointHealth(first_failure_at=began, reason=DisabledReason.FAILING if is_over else None)


def rested(rest: Rest | None, *, asked: timedelta, at: datetime, chance: float) -> Rest:
    """The next rest of an endpoint, at least `asked` long; `chance` is uniform in [0, 1).

    Attempts that were in flight when a rest began extend it but do not count as another one.
    """
    least = at + max(asked, MIN_REST)
    if rest is None:
        return Rest(count=1, until=least)
    if rest.until > at:
        return replace(rest, until=max(rest.until, least))
    length = MIN_REST * min(2**rest.count, MAX_REST / MIN_REST) * (1 + REST_SPREAD * (2 * chance - 1))
    return Rest(count=min(rest.count + 1, MAX_REST_COUNT), until=max(least, at + length))
