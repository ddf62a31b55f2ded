"""When an endpoint takes nothing, and since when: from its first failure to its next success."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.ids import ApplicationId, EndpointId

FIRST_REST, LONGEST_REST = timedelta(seconds=0.25), timedelta(seconds=30)
REST_SPREAD = 0.25  # of a rest, to either side: endpoints that fell together should not come back together
RECENT = timedelta(days=1)  # the schedule's last pauses are ten hours long
AGES = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}


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
