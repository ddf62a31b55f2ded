"""How endpoints stand: since when one takes nothing, when it is disabled for that, and how long it rests before.

Settlements say it once more in SQL (`queue/settlements.sql`), many at a time; one table of cases runs through both.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.domain.endpoints import DisabledReason
from service.domain.ids import ApplicationId, EndpointId

DISABLE_AFTER = timedelta(days=5)  # of nothing but failures, where no setting says otherwise
# A rest, and each that follows at once is twice as long.
FIRST_REST, LONGEST_REST = timedelta(seconds=0.25), timedelta(seconds=30)
REST_SPREAD = 0.25  # of a rest, to either side: endpoints that fell together should not come back together
MOST_RESTS = 100  # are counted in a series
RECENT = timedelta(days=1)  # the schedule's last pauses are ten hours long
AGES = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """`first_failure_at` is that of the failures since the last success; `reason` is why it is disabled, if it is."""

    first_failure_at: datetime | None = None
    reason: DisabledReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What attempts that ended together say of their endpoint.

    `failed` is for scheduled attempts alone, and never for a fault of ours. `gone` is for whoever wants no more.
    """

    succeeded: bool = False
    failed: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Until when an endpoint gets nothing, and how many such rests have followed each other."""

    count: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingEndpoint:
    """An endpoint that has taken nothing since `since`. `failures` counts the failed attempts of the last day."""

    id: EndpointId
    uid: str | None
    app_id: ApplicationId
    app_uid: str | None
    url: str
    since: datetime
    failures: int


def judged(health: EndpointHealth, tried: Tried, *, at: datetime, disable_after: timedelta) -> EndpointHealth:
    """How the endpoint stands afterwards.

    A success ends its failures, the first failure begins them. Who is gone is disabled at once, who has failed
    for long enough with the next failure. One that is disabled stays so until a request enables it.
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
    """The rest of an endpoint that asks for one of at least `asked`; `chance` is uniform in [0, 1).

    While it rests, what was in flight asks for no second one.
    """
    least = at + max(asked, FIRST_REST)
    if rest is None:
        return Rest(count=1, until=least)
    if rest.until > at:
        return replace(rest, until=max(rest.until, least))
    length = FIRST_REST * min(2**rest.count, LONGEST_REST / FIRST_REST) * (1 + REST_SPREAD * (2 * chance - 1))
    return Rest(count=min(rest.count + 1, MOST_RESTS), until=max(least, at + length))
