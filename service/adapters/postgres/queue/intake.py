"""Accepting messages: one statement a batch claims keys and event ids, keeps messages and fans out to deliveries."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import asyncpg
from opentelemetry.trace import SpanContext

from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.group_commit import GroupCommit
from service.adapters.postgres.server.wakeups import POLL
from service.domain.ids import ApplicationId, MessageId
from service.domain.messages import (
    Accepted,
    EventIdTaken,
    IdempotencyKey,
    KeyReused,
    NewMessage,
    Reception,
    Repeated,
    Unchecked,
    UnknownApplication,
)
from service.domain.retention import KEYS_KEPT
from service.observability.deliveries import DeliveryTelemetry

LARGEST_BATCH = 256
MOST_WAITING = 4096
SOON = timedelta(seconds=POLL + 60)
_KEPT = f"interval '{KEYS_KEPT.total_seconds():.0f} seconds'"

# Rows are claimed in one order everywhere, so that two batches never wait for each other.
ACCEPT = """
WITH input AS MATERIALIZED (
    SELECT i.*, unchecked, CASE WHEN unchecked THEN NULL ELSE a.id END AS app_id, a.uid AS app_uid
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[],
                $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::bytea[], $14::bytea[],
                $15::timestamptz[], $16::text[])
      AS i(id, org_id, app, event_id, event_type, payload, channels, tags,
           deliver_at, expires_at, correlation_id, traceparent, scope, fingerprint, checked_against, content_type)
    LEFT JOIN event_type t ON t.org_id = i.org_id AND t.name = i.event_type AND t.validate_payloads AND NOT t.archived
    CROSS JOIN LATERAL (SELECT t.name IS NOT NULL AND t.updated_at IS DISTINCT FROM i.checked_against) AS u(unchecked)
    LEFT JOIN LATERAL (
        SELECT id, uid FROM application WHERE id = i.app AND org_id = i.org_id AND deleted_at IS NULL
        UNION ALL
        SELECT id, uid FROM application WHERE org_id = i.org_id AND uid = i.app AND deleted_at IS NULL
        LIMIT 1
    ) a ON true
), claimed_event AS (
    INSERT INTO event_id (app_id, event_id, message_id)
    SELECT app_id, event_id, id FROM input
    WHERE app_id IS NOT NULL AND event_id IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM idempotency_key k WHERE k.scope = input.scope AND k.created_at >= now() - KEPT
      )
    ORDER BY app_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING message_id
), claimed_key AS (
    INSERT INTO idempotency_key (scope, fingerprint, message_id)
    SELECT DISTINCT ON (scope) scope, fingerprint, id FROM input
    WHERE app_id IS NOT NULL AND scope IS NOT NULL
      AND (event_id IS NULL OR id IN (SELECT message_id FROM claimed_event))
    ORDER BY scope, id
    ON CONFLICT (scope) DO UPDATE
    SET fingerprint = EXCLUDED.fingerprint, message_id = EXCLUDED.message_id, created_at = now()
    WHERE idempotency_key.created_at < now() - KEPT
    RETURNING message_id
), admitted AS MATERIALIZED (
    SELECT * FROM input
    WHERE app_id IS NOT NULL
      AND (event_id IS NULL OR id IN (SELECT message_id FROM claimed_event))
      AND (scope IS NULL OR id IN (SELECT message_id FROM claimed_key))
), stored AS (
    INSERT INTO message (id, org_id, app_id, event_id, event_type, payload, channels, tags,
                         deliver_at, expires_at, correlation_id, traceparent, content_type)
    SELECT id, org_id, app_id, event_id, event_type, payload, string_to_array(channels, ','),
           string_to_array(tags, ','), deliver_at, expires_at, correlation_id, traceparent, content_type
    FROM admitted
), owed AS (
    INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
    SELECT e.id, m.id, m.org_id, m.app_id, coalesce(m.deliver_at, now())
    FROM admitted m
    JOIN endpoint e ON e.app_id = m.app_id AND e.deleted_at IS NULL AND NOT e.disabled
     AND (e.event_types IS NULL OR m.event_type = ANY (e.event_types))
     AND (e.channels IS NULL OR e.channels && string_to_array(m.channels, ','))
    RETURNING message_id
)
SELECT input.id, input.unchecked, input.app_id, input.app_uid, input.id IN (SELECT id FROM admitted) AS admitted,
       (SELECT count(*) FROM owed WHERE owed.message_id = input.id) AS deliveries
FROM input
""".replace("KEPT", _KEPT)

# A key that lost its race may leave an event id that its message never came to own.
RELEASE_EVENT_IDS = "DELETE FROM event_id WHERE message_id = ANY ($1::text[])"
FIRST_USES = """
SELECT scope, fingerprint, message_id FROM idempotency_key
WHERE scope = ANY ($1::bytea[]) AND created_at >= now() - KEPT
""".replace("KEPT", _KEPT)


@dataclass(frozen=True, slots=True)
class _Received:
    """A message, and the span that its batch links to."""

    message: NewMessage
    context: SpanContext


@dataclass(frozen=True, slots=True)
class _Committed:
    """A message's answer, and the batch that it shared."""

    reception: Reception
    batch: SpanContext
    size: int


class PostgresIntake:
    """Fulfils `ports.Intake`. `accepted` is called after a commit that left something to deliver soon: whoever
    looks then learns when."""

    def __init__(self, pool: asyncpg.Pool, *, accepted: Callable[[], None], telemetry: DeliveryTelemetry) -> None:
        self._pool = pool
        self._accepted = accepted
        self._telemetry = telemetry
        self._group = GroupCommit[_Received, _Committed](
            self._commit, largest_batch=LARGEST_BATCH, most_waiting=MOST_WAITING
        )

    @property
    def fullness(self) -> float:
        """From 0 to 1, where the next message is turned away."""
        return self._group.fullness

    async def accept(self, message: NewMessage) -> Reception:
        """Answers once the message and every delivery it owes are committed. Busy, Unavailable."""
        with self._telemetry.accepting(message) as told:
            committed = await self._group.submit(_Received(told.message, told.context))
            told.committed(committed.reception, batch=committed.batch, size=committed.size)
        return committed.reception

    async def first_use(self, message: NewMessage) -> Repeated | KeyReused | None:
        """What the message's idempotency key stands for, if it was used before. Unavailable."""
        if message.idempotency_key is None:
            return None
        with unavailable_when_lost():
            row = await self._pool.fetchrow(FIRST_USES, [message.idempotency_key.scope])
        return None if row is None else _used_before(message.idempotency_key, row)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accept while the block lasts."""
        async with self._group.running():
            yield

    async def _commit(self, batch: Sequence[_Received]) -> list[_Committed]:
        with self._telemetry.batch("accept", [received.context for received in batch], size=len(batch)) as context:
            receptions = await self._accept([received.message for received in batch])
        # An unchecked message comes back in a moment, checked or refused.
        self._telemetry.received([reception for reception in receptions if not isinstance(reception, Unchecked)])
        return [_Committed(reception, context, len(batch)) for reception in receptions]

    async def _accept(self, messages: Sequence[NewMessage]) -> list[Reception]:
        with unavailable_when_lost():
            async with self._pool.acquire() as connection, _transaction(connection, messages):
                rows = await connection.fetch(ACCEPT, *columns(messages))
                receptions = {row["id"]: _reception(row) for row in rows}
                left_out = [message for message in messages if receptions[message.id] is None]
                if left_out:
                    receptions |= await _explain(connection, left_out)
        later = {message.id for message in messages if _is_for_later(message)}
        if any(row["deliveries"] and row["id"] not in later for row in rows):
            self._accepted()
        return [_known(receptions[message.id]) for message in messages]


def _is_for_later(message: NewMessage) -> bool:
    """Whether everybody looks at the queue before it is due, also if the database's clock is somewhat ahead of ours."""
    return message.deliver_at is not None and message.deliver_at - message.accepted_at > SOON


def _transaction(connection: asyncpg.Connection, messages: Sequence[NewMessage]) -> AbstractAsyncContextManager[object]:
    """A statement is a transaction by itself; only who has both an event id and a key may need a second one."""
    if any(message.event_id is not None and message.idempotency_key is not None for message in messages):
        return cast("AbstractAsyncContextManager[object]", connection.transaction())
    return nullcontext()


def columns(batch: Sequence[NewMessage]) -> list[list[object]]:
    """The parameters of ACCEPT for these messages."""
    rows = [
        (
            message.id,
            message.org_id,
            message.app,
            message.event_id,
            message.event_type,
            message.payload,
            ",".join(message.channels) if message.channels else None,
            ",".join(message.tags) if message.tags else None,
            message.deliver_at,
            message.expires_at,
            message.correlation_id,
            message.traceparent,
            message.idempotency_key.scope if message.idempotency_key else None,
            message.idempotency_key.fingerprint if message.idempotency_key else None,
            message.checked_against,
            message.content_type,
        )
        for message in batch
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _reception(row: asyncpg.Record) -> Reception | None:
    if row["unchecked"]:
        return Unchecked()
    if row["app_id"] is None:
        return UnknownApplication()
    if row["admitted"]:
        return Accepted(app_id=ApplicationId(row["app_id"]), app_uid=row["app_uid"], deliveries=row["deliveries"])
    return None


async def _explain(connection: asyncpg.Connection, left_out: list[NewMessage]) -> dict[MessageId, Reception | None]:
    """Why these messages were not taken: their key was used before, or else their event id is another message's."""
    await connection.execute(RELEASE_EVENT_IDS, [message.id for message in left_out])
    scopes = [message.idempotency_key.scope for message in left_out if message.idempotency_key]
    first_uses = {row["scope"]: row for row in await connection.fetch(FIRST_USES, scopes)}
    return {message.id: _why(message, first_uses) for message in left_out}


def _why(message: NewMessage, first_uses: dict[bytes, asyncpg.Record]) -> Reception:
    key = message.idempotency_key
    first = first_uses.get(key.scope) if key else None
    return EventIdTaken() if key is None or first is None else _used_before(key, first)


def _used_before(key: IdempotencyKey, first: asyncpg.Record) -> Repeated | KeyReused:
    if first["fingerprint"] != key.fingerprint:
        return KeyReused()
    return Repeated(id=MessageId(first["message_id"]))


def _known(reception: Reception | None) -> Reception:
    if reception is None:
        raise RuntimeError("the accept statement left a message without an answer")
    return reception
