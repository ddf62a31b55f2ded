"""Which acts must be in the audit trail, whatever becomes of the code: each is done, and then looked for."""

from typing import Any

from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from tests.api.walking import ENDLESS, FITS_ALL, HEALTH, Operation, Things, one_of_each, operations

MUST_BE_TOLD = {
    # Who gets in, and who no longer does.
    "v1.authentication.app-portal-access": "token.granted",
    "v1.authentication.expire-all": "tokens.revoked",
    "v1.authentication.refresh": "token.refreshed",
    "v1.authentication.logout": "token.revoked",
    "v1.authentication.token.create": "organisation_token.created",
    "v1.authentication.token.revoke": "organisation_token.revoked",
    # Secrets, seen or replaced.
    "v1.endpoint.get-secret": "endpoint.secret_read",
    "v1.endpoint.rotate-secret": "endpoint.secret_rotated",
    "v1.destination.get-secret": "destination.secret_read",
    "v1.destination.rotate-secret": "destination.secret_rotated",
    "v1.operational-webhook.endpoint.get-secret": "operational_endpoint.secret_read",
    "v1.operational-webhook.endpoint.rotate-secret": "operational_endpoint.secret_rotated",
    "v1.authentication.dashboard-access": "token.granted",
    "v1.endpoint.delete-old-secrets": "endpoint.old_secrets_ended",
    "v1.operational-webhook.endpoint.delete-old-secrets": "operational_endpoint.old_secrets_ended",
    # Where data goes, and with which credentials.
    "v1.application.create": "application.created",
    "v1.application.upsert": "application.changed",
    "v1.application.patch": "application.changed",
    "v1.application.delete": "application.deleted",
    "v1.endpoint.create": "endpoint.created",
    "v1.endpoint.upsert": "endpoint.changed",
    "v1.endpoint.patch": "endpoint.changed",
    "v1.endpoint.delete": "endpoint.deleted",
    "v1.endpoint.set-headers": "endpoint.headers_changed",
    "v1.endpoint.patch-headers": "endpoint.headers_changed",
    "v1.destination.create": "destination.created",
    "v1.destination.upsert": "destination.changed",
    "v1.destination.patch": "destination.changed",
    "v1.destination.delete": "destination.deleted",
    "v1.message.poller.consumer-seek": "consumer.moved",
    "v1.operational-webhook.endpoint.create": "operational_endpoint.created",
    "v1.operational-webhook.endpoint.upsert": "operational_endpoint.changed",
    "v1.operational-webhook.endpoint.delete": "operational_endpoint.deleted",
    "v1.operational-webhook.endpoint.set-headers": "operational_endpoint.headers_changed",
    # Where data comes from, and with which credentials.
    "v1.source.create": "source.created",
    "v1.source.patch": "source.changed",
    "v1.source.delete": "source.deleted",
    # What may be sent at all.
    "v1.event-type.create": "event_type.created",
    "v1.event-type.upsert": "event_type.changed",
    "v1.event-type.patch": "event_type.changed",
    "v1.event-type.delete": "event_type.deleted",
    "v1.event-type.import-openapi": "event_types.imported",
    "v1.environment.import": "environment.imported",
    "v1.environment.export": "environment.exported",
    # Sent again by the thousand, or gone for good.
    "v1.endpoint.recover": "endpoint.recovered",
    "v1.endpoint.replay-missing": "endpoint.replayed",
    "v1.endpoint.bulk-replay": "endpoint.replayed",
    "v1.background-task.cancel": "task.canceled",
    "v1.message.bulk-expunge-content": "messages.expunged",
    "v1.message.expunge-all-contents": "messages.expunged",
    "v1.message.expunge-content": "message.expunged",
    "v1.message-attempt.expunge-content": "attempt.expunged",
}
# Messages tell of themselves; the rest of these change nothing.
NEED_NOT = {
    "v1.message.create",
    "v1.message.import",
    "v1.message.precheck",
    "v1.message-attempt.resend",
    "v1.endpoint.send-example",
    "v1.statistics.aggregate-app-stats",
    "v1.statistics.aggregate-event-types",
}
BY_AN_APPLICATION = {"v1.authentication.refresh", "v1.authentication.logout"}


async def test_each_act_that_must_be_told_is_told(app: FastAPI, api: AsyncClient, postgres: Database) -> None:
    things = await one_of_each(api, postgres)

    told = {}
    for operation in operations(app, last="DELETE"):
        if operation.name not in ENDLESS | HEALTH:
            fitting = await options(operation, api, things)
            before = await actions(postgres)
            answer = await operation.ask(api, things, **fitting)
            assert answer.is_success, f"{operation.name}: {answer.text}"
            told[operation.name] = (await actions(postgres))[len(before) :]

    assert {name: acts for name, acts in told.items() if acts} == {name: [act] for name, act in MUST_BE_TOLD.items()}


def test_whatever_changes_something_must_be_told_or_need_not(app: FastAPI) -> None:
    changing = {operation.name for operation in operations(app, last="DELETE") if operation.method != "GET"}

    assert changing - MUST_BE_TOLD.keys() == NEED_NOT


async def options(operation: Operation, api: AsyncClient, things: Things) -> dict[str, Any]:
    """What the operation wants beside what all do: to be asked by an application, or for a name that is free."""
    if operation.name in BY_AN_APPLICATION:
        answer = await api.post(f"/auth/app-portal-access/{things['app_id']}", json={})
        return {"headers": {"authorization": f"Bearer {answer.json()['token']}"}}
    if operation.name == "v1.message.import":
        return {"json": None, "content": b'{"eventType": "known", "payload": {}}\n'}
    if operation.name.endswith("aggregate-app-stats"):
        return {"json": {name: FITS_ALL[name] for name in ("since", "until")}}
    return {}


async def actions(postgres: Database) -> list[str]:
    return [row["action"] for row in await postgres.pool.fetch("SELECT action FROM audit_event ORDER BY id")]
