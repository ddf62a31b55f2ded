"""Replays: background tasks that send messages to an endpoint again."""

from fastapi import Response

from service.api.dependencies import ReplaysDep, ServicesDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import EndpointRef
from service.api.problems import documented
from service.api.schemas.background_tasks import TaskStarted
from service.api.schemas.replays import BulkReplayIn, RecoverIn, ReplayIn

router = Operations(prefix="/app/{app_id}/endpoint/{endpoint_id}", tags=["Endpoint"], route_class=JsonRoute)


@router.post(
    "/recover",
    status_code=202,
    response_model=TaskStarted,
    operation_id="v1.endpoint.recover",
    responses=documented(400, 404, 409),
)
async def recover_endpoint(
    endpoint_id: EndpointRef, body: RecoverIn, replays: ReplaysDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Send again every message since a time that was sent to an endpoint and has not been delivered."""

    async def recover() -> Answer:
        task = await replays.recover(endpoint_id, since=body.since, until=body.end(services.clock.now()))
        return Answer(body=TaskStarted.of(task), status=202)

    return await once.answer(recover)


@router.post(
    "/replay-missing",
    status_code=202,
    response_model=TaskStarted,
    operation_id="v1.endpoint.replay-missing",
    responses=documented(400, 404, 409),
)
async def replay_missing(
    endpoint_id: EndpointRef, body: ReplayIn, replays: ReplaysDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Send every message since a time that an endpoint wants and was never sent."""

    async def replay() -> Answer:
        task = await replays.replay_missing(endpoint_id, since=body.since, until=body.end(services.clock.now()))
        return Answer(body=TaskStarted.of(task), status=202)

    return await once.answer(replay)


@router.post(
    "/bulk-replay",
    status_code=202,
    response_model=TaskStarted,
    operation_id="v1.endpoint.bulk-replay",
    responses=documented(400, 404, 409),
)
async def bulk_replay(
    endpoint_id: EndpointRef, body: BulkReplayIn, replays: ReplaysDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Send again every message since a time that an endpoint was sent, delivered or not, and that fits the filters."""

    async def replay() -> Answer:
        until = body.end(services.clock.now())
        task = await replays.bulk_replay(endpoint_id, body.wanted(), since=body.since, until=until)
        return Answer(body=TaskStarted.of(task), status=202)

    return await once.answer(replay)
