"""Bodies of requests and responses for statistics."""

from collections.abc import Sequence

from pydantic import Field

from service.api.schemas.background_tasks import TaskStarted
from service.api.schemas.rules import (
    ApplicationIdOut,
    ApplicationUidOut,
    CountOut,
    EndpointIdOut,
    EndpointUidOut,
    Moment,
    Received,
    Shown,
    Text,
    Time,
    UrlOut,
)
from service.domain.background_tasks import BackgroundTask
from service.domain.health import FailingEndpoint
from service.domain.limits import MAX_LISTED_VALUES
from service.domain.statistics import AttemptCounts


class EndpointAttemptStats(Shown):
    """What became of the attempts to reach an endpoint, in whole hours."""

    success: CountOut
    fail: CountOut
    canceled: CountOut

    @classmethod
    def of(cls, counts: AttemptCounts) -> "EndpointAttemptStats":
        """The response for these counts."""
        return cls(success=counts.success, fail=counts.fail, canceled=counts.canceled)


class EndpointStats(Shown):
    """The same, with the states that a finished attempt is never in."""

    success: CountOut
    pending: int = Field(examples=[0])
    sending: int = Field(examples=[0])
    fail: CountOut
    canceled: CountOut

    @classmethod
    def of(cls, counts: AttemptCounts) -> "EndpointStats":
        """The response for these counts."""
        return cls(success=counts.success, pending=0, sending=0, fail=counts.fail, canceled=counts.canceled)


class FailingEndpointOut(Shown):
    """An endpoint that has taken nothing since a time."""

    app_id: ApplicationIdOut
    app_uid: ApplicationUidOut | None
    endpoint_id: EndpointIdOut
    endpoint_uid: EndpointUidOut | None
    url: UrlOut
    fail_since: Time = Field(description="When the first attempt failed after the last one that succeeded.")
    failed_attempts: CountOut = Field(description="Of the last 24 hours, in whole hours.")


class FailingEndpointsOut(Shown):
    """The endpoints that fail now, those that have failed for longest first. `done` tells that these are all."""

    data: list[FailingEndpointOut]
    done: bool

    @classmethod
    def of(cls, found: Sequence[FailingEndpoint], *, done: bool) -> "FailingEndpointsOut":
        """The response for these endpoints."""
        data = [
            FailingEndpointOut(
                app_id=endpoint.app_id,
                app_uid=endpoint.app_uid,
                endpoint_id=endpoint.id,
                endpoint_uid=endpoint.uid,
                url=endpoint.url,
                fail_since=endpoint.since,
                failed_attempts=endpoint.failures,
            )
            for endpoint in found
        ]
        return cls(data=data, done=done)


class AppUsageStatsIn(Received):
    """A span of time, and the applications to count for, or none for all."""

    since: Moment
    until: Moment
    app_ids: list[Text] | None = Field(
        default=None, max_length=MAX_LISTED_VALUES, description="By id or uid.", examples=[["customer-42"]]
    )


class AppUsageStatsOut(TaskStarted):
    """The task that counts, and the applications that are unknown to it."""

    unresolved_app_ids: list[str] = Field(examples=[["customer-43"]])

    @classmethod
    def with_unresolved(cls, task: BackgroundTask, unresolved: list[str]) -> "AppUsageStatsOut":
        """The response for a task."""
        return cls(
            id=task.id,
            status=task.status,
            task=task.kind,
            updated_at=task.updated_at,
            unresolved_app_ids=unresolved,
        )
