"""Operational endpoints: they receive an organisation's operational webhooks, about its endpoints and deliveries."""

from fastapi import Response

from service.api.dependencies import OperationalEndpointsDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import EndpointPage, EndpointRef
from service.api.problems import documented
from service.api.schemas.endpoints import EndpointSecretOut, EndpointSecretRotateIn
from service.api.schemas.headers import EndpointHeadersIn, EndpointHeadersOut
from service.api.schemas.operational_webhooks import (
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointOut,
    OperationalWebhookEndpointUpsertIn,
)
from service.api.schemas.pages import ListOut, listed

router = Operations(
    prefix="/operational-webhook/endpoint", tags=["Operational Webhook Endpoint"], route_class=JsonRoute
)


@router.get("", operation_id="v1.operational-webhook.endpoint.list", responses=documented())
async def list_operational_endpoints(
    endpoints: OperationalEndpointsDep, page: EndpointPage
) -> ListOut[OperationalWebhookEndpointOut]:
    """List the operational endpoints of the organisation."""
    return listed(await endpoints.page(page), key=lambda endpoint: endpoint.id, show=OperationalWebhookEndpointOut.of)


@router.post(
    "",
    status_code=201,
    response_model=OperationalWebhookEndpointOut,
    operation_id="v1.operational-webhook.endpoint.create",
    responses=documented(409),
)
async def create_operational_endpoint(
    body: OperationalWebhookEndpointIn, endpoints: OperationalEndpointsDep, once: OnceDep
) -> Response:
    """Create an operational endpoint. What happens from now on is told to it."""

    async def create() -> Answer:
        endpoint = await endpoints.create(body.new(), secret=body.own_secret, headers=body.headers)
        return Answer(body=OperationalWebhookEndpointOut.of(endpoint), status=201)

    return await once.answer(create)


@router.get("/{endpoint_id}", operation_id="v1.operational-webhook.endpoint.get", responses=documented(404))
async def get_operational_endpoint(
    endpoint_id: EndpointRef, endpoints: OperationalEndpointsDep
) -> OperationalWebhookEndpointOut:
    """Get an operational endpoint by its id or uid."""
    return OperationalWebhookEndpointOut.of(await endpoints.get(endpoint_id))


@router.put(
    "/{endpoint_id}",
    operation_id="v1.operational-webhook.endpoint.upsert",
    responses=documented(404, 409, created=OperationalWebhookEndpointOut),
)
async def upsert_operational_endpoint(
    endpoint_id: EndpointRef,
    body: OperationalWebhookEndpointUpsertIn,
    endpoints: OperationalEndpointsDep,
    response: Response,
) -> OperationalWebhookEndpointOut:
    """Replace an operational endpoint, or create it. Its secret stays."""
    endpoint, created = await endpoints.upsert(endpoint_id, body.new())
    response.status_code = 201 if created else 200
    return OperationalWebhookEndpointOut.of(endpoint)


@router.delete(
    "/{endpoint_id}",
    status_code=204,
    operation_id="v1.operational-webhook.endpoint.delete",
    responses=documented(404),
)
async def delete_operational_endpoint(endpoint_id: EndpointRef, endpoints: OperationalEndpointsDep) -> None:
    """Delete an operational endpoint. What it is still owed is not sent."""
    await endpoints.delete(endpoint_id)


@router.get(
    "/{endpoint_id}/secret",
    operation_id="v1.operational-webhook.endpoint.get-secret",
    responses=documented(404),
)
async def get_operational_secret(endpoint_id: EndpointRef, endpoints: OperationalEndpointsDep) -> EndpointSecretOut:
    """Get the secret that signs what the endpoint is sent."""
    return EndpointSecretOut(key=(await endpoints.secret(endpoint_id)).text)


@router.post(
    "/{endpoint_id}/secret/rotate",
    status_code=204,
    operation_id="v1.operational-webhook.endpoint.rotate-secret",
    responses=documented(400, 404, 409),
)
async def rotate_operational_secret(
    endpoint_id: EndpointRef, body: EndpointSecretRotateIn, endpoints: OperationalEndpointsDep, once: OnceDep
) -> Response:
    """Sign with a new secret, and for a time with the old one too. `secret/old` ends it earlier."""

    async def rotate() -> Answer:
        await endpoints.rotate(endpoint_id, secret=body.own_secret, grace=body.grace)
        return Answer(status=204)

    return await once.answer(rotate)


@router.delete(
    "/{endpoint_id}/secret/old",
    status_code=204,
    operation_id="v1.operational-webhook.endpoint.delete-old-secrets",
    responses=documented(404),
)
async def delete_old_operational_secrets(endpoint_id: EndpointRef, endpoints: OperationalEndpointsDep) -> None:
    """Sign with the current secret alone from now on: those before it end, whatever grace they were given."""
    await endpoints.end_old_secrets(endpoint_id)


@router.get(
    "/{endpoint_id}/headers",
    operation_id="v1.operational-webhook.endpoint.get-headers",
    responses=documented(404),
)
async def get_operational_headers(endpoint_id: EndpointRef, endpoints: OperationalEndpointsDep) -> EndpointHeadersOut:
    """Get the headers that the endpoint is sent. Credentials are not shown."""
    return EndpointHeadersOut.of(await endpoints.headers(endpoint_id))


@router.put(
    "/{endpoint_id}/headers",
    status_code=204,
    operation_id="v1.operational-webhook.endpoint.set-headers",
    responses=documented(404),
)
async def set_operational_headers(
    endpoint_id: EndpointRef, body: EndpointHeadersIn, endpoints: OperationalEndpointsDep
) -> None:
    """Replace the headers that the endpoint is sent."""
    await endpoints.set_headers(endpoint_id, lambda _old: body.headers)
