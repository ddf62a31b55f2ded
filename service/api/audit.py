"""The dependency that writes the audit trail: which operations are audited, under what name, and when.

Operations that change access (tokens, secrets, deleting an application) are audited in their own transaction, so that
both are committed or neither is. All others are audited after the response, by a background task of the request; when
that fails, the failure is logged and counted.
"""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import BackgroundTasks, Depends, Request

from service.api.dependencies import AuditTrailDep
from service.api.services import Services
from service.domain import ids
from service.domain.audit import AuditEvent

AUDITED_IN_TRANSACTION = {
    "v1.application.delete": "application.deleted",
    "v1.authentication.app-portal-access": "token.granted",
    "v1.authentication.dashboard-access": "token.granted",
    "v1.authentication.expire-all": "tokens.revoked",
    "v1.authentication.logout": "token.revoked",
    "v1.authentication.refresh": "token.refreshed",
    "v1.authentication.token.create": "organisation_token.created",
    "v1.authentication.token.revoke": "organisation_token.revoked",
    "v1.destination.get-secret": "destination.secret_read",
    "v1.destination.rotate-secret": "destination.secret_rotated",
    "v1.endpoint.delete-old-secrets": "endpoint.old_secrets_ended",
    "v1.endpoint.get-secret": "endpoint.secret_read",
    "v1.endpoint.rotate-secret": "endpoint.secret_rotated",
    "v1.environment.import": "environment.imported",
    "v1.operational-webhook.endpoint.delete-old-secrets": "operational_endpoint.old_secrets_ended",
    "v1.operational-webhook.endpoint.get-secret": "operational_endpoint.secret_read",
    "v1.operational-webhook.endpoint.rotate-secret": "operational_endpoint.secret_rotated",
    "v1.source.create": "source.created",
    "v1.source.delete": "source.deleted",
    "v1.source.patch": "source.changed",
}
AUDITED_AFTER_ANSWER = {
    "v1.application.create": "application.created",
    "v1.application.patch": "application.changed",
    "v1.application.upsert": "application.changed",
    "v1.background-task.cancel": "task.canceled",
    "v1.destination.create": "destination.created",
    "v1.destination.delete": "destination.deleted",
    "v1.destination.patch": "destination.changed",
    "v1.destination.upsert": "destination.changed",
    "v1.endpoint.bulk-replay": "endpoint.replayed",
    "v1.endpoint.create": "endpoint.created",
    "v1.endpoint.delete": "endpoint.deleted",
    "v1.endpoint.patch": "endpoint.changed",
    "v1.endpoint.patch-headers": "endpoint.headers_changed",
    "v1.endpoint.recover": "endpoint.recovered",
    "v1.endpoint.replay-missing": "endpoint.replayed",
    "v1.endpoint.set-headers": "endpoint.headers_changed",
    "v1.endpoint.upsert": "endpoint.changed",
    "v1.environment.export": "environment.exported",
    "v1.event-type.create": "event_type.created",
    "v1.event-type.delete": "event_type.deleted",
    "v1.event-type.import-openapi": "event_types.imported",
    "v1.event-type.patch": "event_type.changed",
    "v1.event-type.upsert": "event_type.changed",
    "v1.message.bulk-expunge-content": "messages.expunged",
    "v1.message.expunge-all-contents": "messages.expunged",
    "v1.message.expunge-content": "message.expunged",
    "v1.message.poller.consumer-seek": "consumer.moved",
    "v1.message-attempt.expunge-content": "attempt.expunged",
    "v1.operational-webhook.endpoint.create": "operational_endpoint.created",
    "v1.operational-webhook.endpoint.delete": "operational_endpoint.deleted",
    "v1.operational-webhook.endpoint.set-headers": "operational_endpoint.headers_changed",
    "v1.operational-webhook.endpoint.upsert": "operational_endpoint.changed",
}
# Path parameters that name the target, the most specific first.
_TARGETS = (
    *("attempt_id", "endpoint_id", "destination_id", "sink_id", "msg_id", "event_type_name"),
    *("token_id", "task_id", "source_id", "app_id"),
)


async def audited(request: Request, trail: AuditTrailDep, background: BackgroundTasks) -> AsyncIterator[None]:
    """Audit what the route did, if its operation is audited and it did not raise, repeat an earlier response, or only
    try what it would do."""
    operation = getattr(request.scope["route"], "operation_id", None) or ""
    yield
    if getattr(request.state, "repeated", False) or getattr(request.state, "tried", False):
        return
    if action := AUDITED_IN_TRANSACTION.get(operation):
        await trail.add(action, **_object(request))
    elif action := AUDITED_AFTER_ANSWER.get(operation):
        background.add_task(write, request.state.services, trail.event(action, **_object(request)))


AUDITED = Depends(audited, scope="function")


def is_audited(operation: str | None) -> bool:
    """Whether the operation is audited."""
    return operation in AUDITED_IN_TRANSACTION or operation in AUDITED_AFTER_ANSWER


async def write(services: Services, event: AuditEvent) -> None:
    """Add the event in a transaction of its own."""
    async with services.begin() as work:
        await work.audit.add(event)


def _object(request: Request) -> dict[str, Any]:
    named = (request.path_params[name] for name in _TARGETS if name in request.path_params)
    made: str | None = getattr(request.state, "made", None)
    app_id = getattr(request.state, "app_id", None)
    if app_id is None and made is not None and ids.is_valid(ids.APPLICATION, made):
        app_id = made
    return {"app_id": app_id, "target": made or next(named, None)}
