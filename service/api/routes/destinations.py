"""Ordered destinations: create, read, change, delete, and their signing secrets."""

from typing import Annotated

from fastapi import Query, Response

from service.api.dependencies import DestinationsDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import DestinationRef, OrderedPage
from service.api.problems import documented
from service.api.schemas.destinations import DestinationIn, DestinationOut, DestinationPatch, DestinationSecretOut
from service.api.schemas.endpoints import EndpointSecretRotateIn
from service.api.schemas.pages import ListOut, listed
from service.domain.sinks import SinkKind

router = Operations(prefix="/app/{app_id}/destination", tags=["Destination"], route_class=JsonRoute)

# The official SDKs fail on a list with one destination of a type that they do not know.
OURS = (SinkKind.KAFKA, SinkKind.NATS)
_NAMED = " and ".join(f"`{kind.value}`" for kind in OURS)
EVERY_TYPE = f"Whether to list those of the types {_NAMED} too, on which the official SDKs would fail."


@router.get("", operation_id="v1.destination.list", responses=documented(404))
async def list_destinations(
    destinations: DestinationsDep,
    page: OrderedPage,
    every_type: Annotated[bool, Query(description=EVERY_TYPE)] = False,  # noqa: FBT002 - a parameter of the query
) -> ListOut[DestinationOut]:
    """List the ordered destinations of an application."""
    kinds = set(SinkKind) if every_type else set(SinkKind).difference(OURS)
    found = await destinations.page(page, kinds=kinds)
    head = await destinations.head() if found.items else 0
    return listed(found, key=lambda each: each.id, show=lambda each: DestinationOut.of(each, head=head))


@router.post(
    "",
    status_code=201,
    response_model=DestinationOut,
    operation_id="v1.destination.create",
    responses=documented(404, 409),
)
async def create_destination(body: DestinationIn, destinations: DestinationsDep, once: OnceDep) -> Response:
    """Create an ordered destination. Messages accepted from now on go there, or from `startAt` on."""

    async def create() -> Answer:
        destination = await destinations.create(body.wanted())
        return Answer(body=DestinationOut.of(destination, head=await destinations.head()), status=201)

    return await once.answer(create)


@router.get("/{destination_id}", operation_id="v1.destination.get", responses=documented(404))
async def get_destination(destination_id: DestinationRef, destinations: DestinationsDep) -> DestinationOut:
    """Get an ordered destination by its id or uid."""
    return DestinationOut.of(await destinations.get(destination_id), head=await destinations.head())


@router.put(
    "/{destination_id}",
    operation_id="v1.destination.upsert",
    responses=documented(404, 409, created=DestinationOut),
)
async def upsert_destination(
    destination_id: DestinationRef, body: DestinationIn, destinations: DestinationsDep, response: Response
) -> DestinationOut:
    """Replace an ordered destination, or create it. Its place, status, secret and credentials stay unless they are
    said."""
    destination, created = await destinations.upsert(destination_id, body.wanted())
    response.status_code = 201 if created else 200
    return DestinationOut.of(destination, head=await destinations.head())


@router.patch("/{destination_id}", operation_id="v1.destination.patch", responses=documented(404, 409))
async def patch_destination(
    destination_id: DestinationRef, body: DestinationPatch, destinations: DestinationsDep
) -> DestinationOut:
    """Change some of an ordered destination. Enabling it goes on where it stood, `startAt` sets it to a time."""
    destination = await destinations.patch(destination_id, body.wanted())
    return DestinationOut.of(destination, head=await destinations.head())


@router.delete("/{destination_id}", status_code=204, operation_id="v1.destination.delete", responses=documented(404))
async def delete_destination(destination_id: DestinationRef, destinations: DestinationsDep) -> None:
    """Delete an ordered destination. What still waits for it is not sent."""
    await destinations.delete(destination_id)


@router.get("/{destination_id}/secret", operation_id="v1.destination.get-secret", responses=documented(404))
async def get_destination_secret(destination_id: DestinationRef, destinations: DestinationsDep) -> DestinationSecretOut:
    """Get the secret that signs what a destination of the type `fifoEndpoint` is sent."""
    return DestinationSecretOut(key=(await destinations.secret(destination_id)).text)


@router.post(
    "/{destination_id}/secret/rotate",
    response_model=DestinationSecretOut,
    operation_id="v1.destination.rotate-secret",
    responses=documented(400, 404, 409),
)
async def rotate_destination_secret(
    destination_id: DestinationRef, body: EndpointSecretRotateIn, destinations: DestinationsDep, once: OnceDep
) -> Response:
    """Sign with a new secret, and for a time with the old one too. Only a `fifoEndpoint` has one."""

    async def rotate() -> Answer:
        secret = await destinations.rotate(destination_id, secret=body.own_secret, grace=body.grace)
        return Answer(body=DestinationSecretOut(key=secret.text), status=200)

    return await once.answer(rotate)
