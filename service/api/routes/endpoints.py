"""Endpoints: create, read, change, delete, and their secrets and headers."""

import re

from fastapi import Request, Response

from service.api.dependencies import EndpointsDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import EndpointPage, EndpointRef
from service.api.problems import documented
from service.api.schemas.endpoints import (
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointSecretOut,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
)
from service.api.schemas.headers import EndpointHeadersIn, EndpointHeadersOut, EndpointHeadersPatchIn
from service.api.schemas.pages import ListOut, listed

router = Operations(prefix="/app/{app_id}/endpoint", tags=["Endpoint"], route_class=JsonRoute)

_is_sdk_1x = re.compile(r"\bsvix-libs/[01]\.").search


@router.get("", operation_id="v1.endpoint.list", responses=documented(404))
async def list_endpoints(endpoints: EndpointsDep, page: EndpointPage) -> ListOut[EndpointOut]:
    """List the endpoints of an application."""
    return listed(await endpoints.page(page), key=lambda endpoint: endpoint.id, show=EndpointOut.of)


@router.post(
    "",
    status_code=201,
    response_model=EndpointOut,
    operation_id="v1.endpoint.create",
    responses=documented(404, 409),
)
async def create_endpoint(body: EndpointIn, endpoints: EndpointsDep, once: OnceDep) -> Response:
    """Create an endpoint. Messages accepted from now on reach it."""

    async def create() -> Answer:
        endpoint = await endpoints.create(body.new(), secret=body.own_secret, headers=body.headers)
        return Answer(body=EndpointOut.of(endpoint), status=201)

    return await once.answer(create)


@router.get("/{endpoint_id}", operation_id="v1.endpoint.get", responses=documented(404))
async def get_endpoint(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> EndpointOut:
    """Get an endpoint by its id or uid."""
    return EndpointOut.of(await endpoints.get(endpoint_id))


@router.put(
    "/{endpoint_id}",
    operation_id="v1.endpoint.upsert",
    responses=documented(404, 409, created=EndpointOut),
)
async def upsert_endpoint(
    endpoint_id: EndpointRef, body: EndpointUpsertIn, endpoints: EndpointsDep, response: Response
) -> EndpointOut:
    """Replace an endpoint, or create it when there is none with this id or uid. Its secret stays."""
    endpoint, created = await endpoints.upsert(endpoint_id, body.new())
    response.status_code = 201 if created else 200
    return EndpointOut.of(endpoint)


@router.patch("/{endpoint_id}", operation_id="v1.endpoint.patch", responses=documented(404, 409))
async def patch_endpoint(endpoint_id: EndpointRef, body: EndpointPatch, endpoints: EndpointsDep) -> EndpointOut:
    """Change some of an endpoint. Enabling it forgets its failures."""
    return EndpointOut.of(await endpoints.patch(endpoint_id, body.changes()))


@router.delete("/{endpoint_id}", status_code=204, operation_id="v1.endpoint.delete", responses=documented(404))
async def delete_endpoint(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> None:
    """Delete an endpoint. What it is still owed is not sent."""
    await endpoints.delete(endpoint_id)


@router.get("/{endpoint_id}/secret", operation_id="v1.endpoint.get-secret", responses=documented(404))
async def get_secret(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> EndpointSecretOut:
    """Get the secret that signs what the endpoint is sent."""
    return EndpointSecretOut(key=(await endpoints.secret(endpoint_id)).text)


@router.post(
    "/{endpoint_id}/secret/rotate",
    response_model=EndpointSecretOut,
    operation_id="v1.endpoint.rotate-secret",
    responses=documented(400, 404, 409) | {204: {"description": "The same, for SDKs of 1.x, which take no body."}},
)
async def rotate_secret(
    *,
    request: Request,
    endpoint_id: EndpointRef,
    body: EndpointSecretRotateIn,
    endpoints: EndpointsDep,
    once: OnceDep,
) -> Response:
    """Sign with a new secret, and for a time with the old one too. `secret/old` ends it earlier."""

    async def rotate() -> Answer:
        secret = await endpoints.rotate(endpoint_id, secret=body.own_secret, grace=body.grace)
        return Answer(body=EndpointSecretOut(key=secret.text), status=200)

    return _fitted(await once.answer(rotate), request)


@router.delete(
    "/{endpoint_id}/secret/old",
    status_code=204,
    operation_id="v1.endpoint.delete-old-secrets",
    responses=documented(404),
)
async def delete_old_secrets(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> None:
    """Sign with the current secret alone from now on: those before it end, whatever grace they were given."""
    await endpoints.end_old_secrets(endpoint_id)


@router.get("/{endpoint_id}/headers", operation_id="v1.endpoint.get-headers", responses=documented(404))
async def get_headers(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> EndpointHeadersOut:
    """Get the headers that the endpoint is sent. Credentials are not shown."""
    return EndpointHeadersOut.of(await endpoints.headers(endpoint_id))


@router.put(
    "/{endpoint_id}/headers", status_code=204, operation_id="v1.endpoint.set-headers", responses=documented(404)
)
async def set_headers(endpoint_id: EndpointRef, body: EndpointHeadersIn, endpoints: EndpointsDep) -> None:
    """Replace the headers that the endpoint is sent."""
    await endpoints.set_headers(endpoint_id, lambda _old: body.headers)


@router.patch(
    "/{endpoint_id}/headers", status_code=204, operation_id="v1.endpoint.patch-headers", responses=documented(404)
)
async def patch_headers(endpoint_id: EndpointRef, body: EndpointHeadersPatchIn, endpoints: EndpointsDep) -> None:
    """Set some of the headers that the endpoint is sent, remove others."""
    await endpoints.set_headers(endpoint_id, body.applied_to)


def _fitted(response: Response, request: Request) -> Response:
    """The response; for SDKs 1.x an empty 204, since they fail on a body here."""
    # The Java and Kotlin SDKs 1.x fail on a body here, the Python SDK 2.x fails without one.
    if response.status_code == 200 and _is_sdk_1x(request.headers.get("user-agent", "")):
        return Response(status_code=204)
    return response
