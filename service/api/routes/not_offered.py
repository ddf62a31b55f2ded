"""Operations of the interface that Relevo does not implement: each answers 501 with its SDK name and the reason.

The README's table is generated from this list, and a test compares it with the official SDK.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.errors import NotOffered

_STREAMS = "streams are another product of the hosted service"
# By prefix of the name; the first match counts.
_REASONS = {
    "autoconfig_subscription": "self-configured subscriptions are the hosted service's; create endpoints instead",
    "connector": "connectors are templates of the hosted service's own portal",
    "destination.transformation": "later; until then the payload is sent as it was written",
    "endpoint.transformation": "later; until then the payload is sent as it was written",
    "ingest": "taking in the webhooks of others is another product of the hosted service",
    "integration": "integrations are the hosted service's; get a token by `authentication.app_portal_access` instead",
    "authentication": _STREAMS,
    "streaming": _STREAMS,
}
# Name in the SDK, method, path. A path with a literal segment comes before one with a parameter in its place.
_OPERATIONS = """
authentication.get_stream_poller_token GET /api/v1/auth/stream/{stream_id}/sink/{sink_id}/poller/token
authentication.rotate_stream_poller_token POST /api/v1/auth/stream/{stream_id}/sink/{sink_id}/poller/token/rotate
authentication.stream_expire_all POST /api/v1/auth/stream/{stream_id}/expire-all
authentication.stream_logout POST /api/v1/auth/stream-logout
authentication.stream_portal_access POST /api/v1/auth/stream-portal-access/{stream_id}
autoconfig_subscription.create POST /api/v1/app/{app_id}/autoconfig
autoconfig_subscription.delete DELETE /api/v1/app/{app_id}/autoconfig/{autoconfig_id}
autoconfig_subscription.rotate POST /api/v1/app/{app_id}/autoconfig/{autoconfig_id}/rotate
connector.create POST /api/v1/connector
connector.delete DELETE /api/v1/connector/{connector_id}
connector.get GET /api/v1/connector/{connector_id}
connector.list GET /api/v1/connector
connector.patch PATCH /api/v1/connector/{connector_id}
connector.upsert PUT /api/v1/connector/{connector_id}
destination.transformation.get GET /api/v1/app/{app_id}/destination/{destination_id}/transformation
destination.transformation.patch PATCH /api/v1/app/{app_id}/destination/{destination_id}/transformation
endpoint.transformation.get GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation
endpoint.transformation.patch PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation
endpoint.transformation_partial_update PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation
ingest.authentication.consumer_portal_access POST /ingest/api/v1/source/{source_id}/dashboard
ingest.endpoint.create POST /ingest/api/v1/source/{source_id}/endpoint
ingest.endpoint.delete DELETE /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}
ingest.endpoint.get GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}
ingest.endpoint.get_headers GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers
ingest.endpoint.get_secret GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret
ingest.endpoint.list GET /ingest/api/v1/source/{source_id}/endpoint
ingest.endpoint.rotate_secret POST /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate
ingest.endpoint.set_headers PUT /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers
ingest.endpoint.transformation.get GET /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/transformation
ingest.endpoint.transformation.patch PATCH /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/transformation
ingest.endpoint.upsert PUT /ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}
ingest.source.create POST /ingest/api/v1/source
ingest.source.delete DELETE /ingest/api/v1/source/{source_id}
ingest.source.get GET /ingest/api/v1/source/{source_id}
ingest.source.list GET /ingest/api/v1/source
ingest.source.rotate_token POST /ingest/api/v1/source/{source_id}/token/rotate
ingest.source.upsert PUT /ingest/api/v1/source/{source_id}
integration.create POST /api/v1/app/{app_id}/integration
integration.delete DELETE /api/v1/app/{app_id}/integration/{integ_id}
integration.get GET /api/v1/app/{app_id}/integration/{integ_id}
integration.get_key GET /api/v1/app/{app_id}/integration/{integ_id}/key
integration.list GET /api/v1/app/{app_id}/integration
integration.rotate_key POST /api/v1/app/{app_id}/integration/{integ_id}/key/rotate
integration.update PUT /api/v1/app/{app_id}/integration/{integ_id}
streaming.event_type.create POST /api/v1/stream/event-type
streaming.event_type.delete DELETE /api/v1/stream/event-type/{name}
streaming.event_type.get GET /api/v1/stream/event-type/{name}
streaming.event_type.list GET /api/v1/stream/event-type
streaming.event_type.patch PATCH /api/v1/stream/event-type/{name}
streaming.event_type.upsert PUT /api/v1/stream/event-type/{name}
streaming.events.create POST /api/v1/stream/{stream_id}/events
streaming.events.get GET /api/v1/stream/{stream_id}/sink/{sink_id}/events
streaming.sink.create POST /api/v1/stream/{stream_id}/sink
streaming.sink.delete DELETE /api/v1/stream/{stream_id}/sink/{sink_id}
streaming.sink.get GET /api/v1/stream/{stream_id}/sink/{sink_id}
streaming.sink.get_secret GET /api/v1/stream/{stream_id}/sink/{sink_id}/secret
streaming.sink.list GET /api/v1/stream/{stream_id}/sink
streaming.sink.patch PATCH /api/v1/stream/{stream_id}/sink/{sink_id}
streaming.sink.rotate_secret POST /api/v1/stream/{stream_id}/sink/{sink_id}/secret/rotate
streaming.sink.transformation.get GET /api/v1/stream/{stream_id}/sink/{sink_id}/transformation
streaming.sink.transformation.patch PATCH /api/v1/stream/{stream_id}/sink/{sink_id}/transformation
streaming.sink.upsert PUT /api/v1/stream/{stream_id}/sink/{sink_id}
streaming.sink_headers_get GET /api/v1/stream/{stream_id}/sink/{sink_id}/headers
streaming.sink_headers_patch PATCH /api/v1/stream/{stream_id}/sink/{sink_id}/headers
streaming.stream.create POST /api/v1/stream
streaming.stream.delete DELETE /api/v1/stream/{stream_id}
streaming.stream.get GET /api/v1/stream/{stream_id}
streaming.stream.list GET /api/v1/stream
streaming.stream.patch PATCH /api/v1/stream/{stream_id}
streaming.stream.upsert PUT /api/v1/stream/{stream_id}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One operation: its name in the SDK, its method and path, and why it is not implemented."""

    name: str
    method: str
    path: str
    reason: str


def not_offered() -> Iterator[Missing]:
    """All operations that are not implemented."""
    for line in _OPERATIONS.strip().splitlines():
        name, method, path = line.split()
        reason = next(reason for beginning, reason in _REASONS.items() if name.startswith(beginning))
        yield Missing(name=name, method=method, path=path, reason=reason)


def routes() -> list[Route]:
    """The routes that answer 501. They come after all other routes."""
    alike: dict[tuple[str, str], list[Missing]] = {}
    for missing in not_offered():
        alike.setdefault((missing.method, missing.path), []).append(missing)
    return [
        Route(path, _refusing(several), methods=[method], include_in_schema=False)
        for (method, path), several in alike.items()
    ]


def _refusing(several: list[Missing]) -> Callable[[Request], Awaitable[Response]]:
    names = "` or `".join(missing.name for missing in several)

    async def refuse(_request: Request) -> Response:
        raise NotOffered(names, several[0].reason)

    return refuse
