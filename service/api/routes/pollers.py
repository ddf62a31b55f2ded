"""Polled destinations: their messages, read by whoever they are for."""

from typing import Annotated

from fastapi import Depends, Header, Response

from service.api.dependencies import ApplicationDep, PollersDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonResponse, JsonRoute
from service.api.operations import Operations
from service.api.parameters import ConsumerRef, PolledRef, PollIterator, PollLimit, WantedOfPoll
from service.api.problems import documented
from service.api.protocol.refusals import Misplaced
from service.api.schemas.pollers import ConsumerSeekIn, ConsumerSeekOut, PolledOut, polled
from service.domain.positions import iterator_of, position_of

router = Operations(prefix="/app/{app_id}/poller/{sink_id}", tags=["Poller"], route_class=JsonRoute)


async def place(application: ApplicationDep, iterator: PollIterator = None) -> int | None:
    """The position that the request's iterator stands for. Misplaced when it is none of the application's."""
    if not iterator:
        return None
    position = position_of(application.id, iterator)
    if position is None:
        raise Misplaced("This iterator was not returned by a poll of this application.", place=("query", "iterator"))
    return position


PlaceDep = Annotated[int | None, Depends(place)]
RetryHeader = Annotated[
    str | None,
    Header(
        alias="svix-retry-count", description="As the official SDKs send it: how often this request was sent before."
    ),
]


@router.get("", response_model=PolledOut, operation_id="v1.message.poller.poll", responses=documented(400, 404))
async def poll(
    *,
    sink_id: PolledRef,
    application: ApplicationDep,
    pollers: PollersDep,
    after: PlaceDep,
    limit: PollLimit,
    wanted: WantedOfPoll,
) -> Response:
    """Read a polling endpoint's messages, in order. Send `iterator` to read on; the first poll has none."""
    passage = await pollers.poll(sink_id, after=after, limit=limit, wanted=wanted)
    return JsonResponse(polled(application.id, passage))


@router.get(
    "/consumer/{consumer_id}",
    response_model=PolledOut,
    operation_id="v1.message.poller.consumer-poll",
    responses=documented(400, 404),
)
async def consumer_poll(
    *,
    sink_id: PolledRef,
    consumer_id: ConsumerRef,
    application: ApplicationDep,
    pollers: PollersDep,
    acknowledged: PlaceDep,
    limit: PollLimit,
    retry_count: RetryHeader = None,
) -> Response:
    """Read on as a consumer, whose place is kept. The `iterator` of the poll before acknowledges that poll, and what is
    not acknowledged comes again; a consumer that never sends one acknowledges each poll by the next."""
    passage = await pollers.consumer_poll(
        sink_id, consumer_id, acknowledged=acknowledged, is_repeated=bool(retry_count), limit=limit
    )
    return JsonResponse(polled(application.id, passage))


@router.post(
    "/consumer/{consumer_id}/seek",
    response_model=ConsumerSeekOut,
    operation_id="v1.message.poller.consumer-seek",
    responses=documented(400, 404, 409),
)
async def consumer_seek(
    *,
    sink_id: PolledRef,
    consumer_id: ConsumerRef,
    body: ConsumerSeekIn,
    application: ApplicationDep,
    pollers: PollersDep,
    once: OnceDep,
) -> Response:
    """Let a consumer read on with what was accepted at a time."""

    async def seek() -> Answer:
        position = await pollers.seek(sink_id, consumer_id, at=body.after)
        return Answer(body=ConsumerSeekOut(iterator=iterator_of(application.id, position)), status=200)

    return await once.answer(seek)
