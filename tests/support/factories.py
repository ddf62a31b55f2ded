"""Things to test with; what a test does not name does not matter to it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.adapters.machine.clock import new_id
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.server.columns import seal_headers, seal_secrets
from service.domain import ids
from service.domain.deliveries import Claim, Trigger
from service.domain.destinations import HttpDestination, Parcel
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import ApplicationId, EndpointId, MessageId, OrgId
from service.domain.messages import NewMessage
from service.domain.signatures import Secret

ORG = OrgId("org_000000000000000000000000001")
VAULT = AesVault(["a key that only tests know"])
SECRET = Secret(key=b"0123456789abcdef01234567")


def new_message(app: str, **changed: Any) -> NewMessage:
    """A message that is ready to be accepted."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": MessageId(new_id(ids.MESSAGE, at=now)),
        "org_id": ORG,
        "app": app,
        "event_type": "invoice.paid",
        "payload": b'{"n": 1}',
        "accepted_at": now,
        "expires_at": now + timedelta(days=90),
        "correlation_id": "a-request",
    }
    return NewMessage(**(values | changed))


def idempotency_key(text: str, *, body: bytes = b"{}") -> IdempotencyKey:
    """The key that a caller writes as `text`."""
    return IdempotencyKey(
        org_id=ORG, scope=hashlib.sha256(text.encode()).digest(), fingerprint=hashlib.sha256(body).digest()
    )


async def add_application(
    pool: asyncpg.Pool, *, uid: str | None = None, org_id: OrgId = ORG, throttle_rate: int | None = None
) -> ApplicationId:
    """An application in the database."""
    app_id = ApplicationId(new_id(ids.APPLICATION))
    await pool.execute(
        "INSERT INTO application (id, org_id, uid, name, throttle_rate, metadata, created_at, updated_at)"
        " VALUES ($1, $2, $3, 'an application', $4, '{}', now(), now())",
        app_id,
        org_id,
        uid,
        throttle_rate,
    )
    return app_id


async def add_event_types(pool: asyncpg.Pool, names: Sequence[str], *, characters: int) -> None:
    """Event types in the database, each with a schema of about so many characters."""
    schemas = json.dumps({"1": {"description": "x" * characters}})
    await pool.executemany(
        "INSERT INTO event_type (org_id, name, description, archived, deprecated, schemas, validate_payloads,"
        " created_at, updated_at) VALUES ($1, $2, '', false, false, $3, false, now(), now())",
        [(ORG, name, schemas) for name in names],
    )


async def add_endpoint(
    pool: asyncpg.Pool,
    app_id: ApplicationId,
    *,
    url: str = "http://127.0.0.1:9/",
    event_types: list[str] | None = None,
    channels: list[str] | None = None,
    disabled: bool = False,
    throttle_rate: int | None = None,
) -> EndpointId:
    """An endpoint in the database."""
    endpoint_id = EndpointId(new_id(ids.ENDPOINT))
    await pool.execute(
        "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, event_types, channels,"
        " metadata, secrets, headers, throttle_rate, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, '', 1, $5, $6, $7, $8, $9, $10, $11, now(), now())",
        endpoint_id,
        ORG,
        app_id,
        url,
        disabled,
        event_types,
        channels,
        json.dumps({}),
        seal_secrets(VAULT, [SECRET]),
        seal_headers(VAULT, {}),
        throttle_rate,
    )
    return endpoint_id


def a_parcel(body: bytes = b"{}", **headers: str) -> Parcel:
    """A message that is ready to go."""
    return Parcel(message_id=MessageId("msg_1"), body=body, headers=headers)


def a_claim(*, url: str = "http://127.0.0.1:9/", headers: dict[str, str] | None = None, **changed: Any) -> Claim:
    """A delivery that somebody holds, due a second ago."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "message_id": MessageId(new_id(ids.MESSAGE)),
        "endpoint_id": EndpointId(new_id(ids.ENDPOINT)),
        "app_id": ApplicationId("app_000000000000000000000000001"),
        "org_id": ORG,
        "lease": "a-lease",
        "resend": "",
        "attempt": 1,
        "trigger": Trigger.SCHEDULED,
        "due_at": now - timedelta(seconds=1),
        "accepted_at": now - timedelta(seconds=1),
        "event_type": "invoice.paid",
        "channels": None,
        "payload": b'{"n": 1}',
        "destination": HttpDestination(url=url, headers=headers or {}),
        "secrets": (SECRET,),
        "endpoint_active": True,
        "correlation_id": "a-request",
        "traceparent": None,
    }
    return Claim(**(values | changed))
