"""Statistics: attempts by outcome, failing endpoints, usage of applications, event types that endpoints subscribe
to."""

from typing import Annotated

from fastapi import Depends, Query, Response

from service.api.dependencies import EndpointsDep, StatisticsDep, organisation
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import EndpointRef
from service.api.problems import documented
from service.api.schemas.background_tasks import TaskStarted
from service.api.schemas.rules import Moment
from service.api.schemas.statistics import (
    AppUsageStatsIn,
    AppUsageStatsOut,
    EndpointAttemptStats,
    EndpointStats,
    FailingEndpointsOut,
)

router = Operations(route_class=JsonRoute)

_ORGANISATION = [Depends(organisation)]

Since = Annotated[Moment | None, Query(description="By default four weeks before `until`.")]
Most = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
Until = Annotated[Moment | None, Query(description="By default now.")]


@router.get(
    "/app/{app_id}/endpoint/{endpoint_id}/stats",
    tags=["Endpoint"],
    operation_id="v1.endpoint.get-stats",
    responses=documented(400, 404),
)
async def get_stats(
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    statistics: StatisticsDep,
    since: Since = None,
    until: Until = None,
) -> EndpointStats:
    """Count the attempts to reach an endpoint by what became of them, in whole hours of at most four weeks."""
    endpoint = await endpoints.get(endpoint_id)
    return EndpointStats.of(await statistics.attempts(endpoint, since=since, until=until))


@router.get(
    "/app/{app_id}/endpoint/{endpoint_id}/attempt-stats",
    tags=["Endpoint"],
    operation_id="v1.endpoint.get-attempt-stats",
    responses=documented(400, 404),
)
async def get_attempt_stats(
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    statistics: StatisticsDep,
    since: Since = None,
    until: Until = None,
) -> EndpointAttemptStats:
    """Count the attempts to reach an endpoint by what became of them, in whole hours of at most four weeks."""
    endpoint = await endpoints.get(endpoint_id)
    return EndpointAttemptStats.of(await statistics.attempts(endpoint, since=since, until=until))


@router.get(
    "/stats/failing-endpoints",
    tags=["Statistics"],
    dependencies=_ORGANISATION,
    operation_id="v1.statistics.failing-endpoints",
    responses=documented(),
)
async def failing_endpoints(statistics: StatisticsDep, limit: Most = 20) -> FailingEndpointsOut:
    """List the endpoints that take nothing at present, of every application, those that fail longest first."""
    found, done = await statistics.failing(most=limit)
    return FailingEndpointsOut.of(found, done=done)


@router.post(
    "/stats/usage/app",
    tags=["Statistics"],
    status_code=202,
    response_model=AppUsageStatsOut,
    dependencies=_ORGANISATION,
    operation_id="v1.statistics.aggregate-app-stats",
    responses=documented(409),
)
async def aggregate_app_stats(body: AppUsageStatsIn, statistics: StatisticsDep, once: OnceDep) -> Response:
    """Count, as a background task, the attempts that were made for each application."""

    async def aggregate() -> Answer:
        task, unresolved = await statistics.usage(body.app_ids, since=body.since, until=body.until)
        return Answer(body=AppUsageStatsOut.with_unresolved(task, unresolved), status=202)

    return await once.answer(aggregate)


@router.put(
    "/stats/usage/event-types",
    tags=["Statistics"],
    status_code=202,
    dependencies=_ORGANISATION,
    operation_id="v1.statistics.aggregate-event-types",
    responses=documented(),
)
async def aggregate_event_types(statistics: StatisticsDep) -> TaskStarted:
    """Find out, as a background task, which event types the endpoints of each application want."""
    return TaskStarted.of(await statistics.subscriptions())
