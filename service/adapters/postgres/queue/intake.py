"""Accepts messages by group commit: one statement claims keys and event ids, inserts messages and fans out."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import asyncpg
from opentelemetry.trace import SpanContext

from service.adapters.postgres.queue.claims import ClaimReader, new_lease, shares
from service.adapters.postgres.server.columns import write_rows
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.group_commit import GroupCommit
from service.adapters.postgres.server.residence import of_residents
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.wakeups import POLL_INTERVAL_S
from service.application.ports.queue import LocalEngine, Room
from service.domain.idempotency import KEYS_KEPT, IdempotencyKey
from service.domain.ids import ApplicationId, MessageId, OrgId
from service.domain.messages import (
    Accepted,
    EventIdTaken,
    KeyTaken,
    NewMessage,
    NotResident,
    Reception,
    Repeated,
    Unchecked,
    UnknownApplication,
)
from service.observability.deliveries import DeliveryTelemetry

NO_ROOM = Room(limit=0, per_endpoint=0, rooms={})
MAX_BATCH_ROWS = 256
MAX_COMMITS = 2  # at once, so that this process prepares one while the database is at work on another
MAX_QUEUED_MESSAGES = 4096
POLLED_WITHIN = timedelta(seconds=POLL_INTERVAL_S + 60)

_statements = beside(__name__)
ACCEPT, FIRST_USES = _statements["accept"], _statements["first_uses"]
RELEASE_EVENT_IDS = _statements["release_event_ids"]
RESIDENTS = _statements["residents"]
ACCEPT_RESIDENTS = of_residents(ACCEPT)


@dataclass(frozen=True, slots=True)
class _Received:
    """A message, and its span, which the batch's span links to."""

    message: NewMessage
    context: SpanContext


@dataclass(frozen=True, slots=True)
class _Committed:
    """A message's reception, and the batch it was in."""

    reception: Reception
    batch: SpanContext
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leasing:
    """Where deliveries go that are born leased to this process, and how long their leases last."""

    engine: LocalEngine
    reader: ClaimReader
    lease: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The room that a batch may take, and the lease of what takes it. Without any, somebody claims every delivery."""

    lease: str = ""
    lease_lasts: timedelta = timedelta()
    room: Room = NO_ROOM

    @classmethod
    def of(cls, leasing: Leasing) -> "Offer":
        """What this process has room for now."""
        return cls(lease=new_lease(), lease_lasts=leasing.lease, room=leasing.engine.room())


UNLEASED = Offer()


class PostgresIntake:
    """Fulfils `ports.Intake`.

    `accepted` is called after a commit with deliveries that somebody has to claim before the next poll, `numbered`
    after one with messages that ordered destinations may want. With `leasing`, deliveries that this process has room
    for need no claim. `moved` is given where there are several databases: it is called with an organisation whose
    message came here, and which does not live here.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        accepted: Callable[[], None],
        telemetry: DeliveryTelemetry,
        leasing: Leasing | None = None,
        numbered: Callable[[], None] = lambda: None,
        moved: Callable[[OrgId], None] | None = None,
    ) -> None:
        self._pool = pool
        self._moved = moved
        self._numbered = numbered
        self._leasing = leasing
        self._accepted = accepted
        self._telemetry = telemetry
        self._group = GroupCommit[_Received, _Committed](
            self._commit, largest_batch=MAX_BATCH_ROWS, most_waiting=MAX_QUEUED_MESSAGES, at_once=MAX_COMMITS
        )

    @property
    def fullness(self) -> float:
        """How full the queue of waiting messages is, from 0 to 1; at 1 the next message raises Busy."""
        return self._group.fullness

    async def accept(self, message: NewMessage) -> Reception:
        """Return once the message and its deliveries are committed. Raises Busy, Unavailable."""
        with self._telemetry.accepting(message) as told:
            committed = await self._group.submit(_Received(told.message, told.context))
            told.committed(committed.reception, batch=committed.batch, size=committed.size)
        return committed.reception

    async def first_use(self, message: NewMessage) -> Repeated | KeyTaken | None:
        """The result of the first use of the message's idempotency key, if any. Raises Unavailable."""
        if message.idempotency_key is None:
            return None
        with unavailable_when_lost():
            row = await self._pool.fetchrow(*_first_uses([message.idempotency_key.scope]))
        return None if row is None else _used_before(message.idempotency_key, row)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accept while the block lasts."""
        async with self._group.running():
            yield

    async def _commit(self, batch: Sequence[_Received]) -> list[_Committed]:
        with self._telemetry.batch("accept", [received.context for received in batch], size=len(batch)) as context:
            receptions = await self._accept([received.message for received in batch])
        # An unchecked message is submitted again after its check, and counted then.
        self._telemetry.received([reception for reception in receptions if not isinstance(reception, Unchecked)])
        return [_Committed(reception, context, len(batch)) for reception in receptions]

    async def _accept(self, messages: Sequence[NewMessage]) -> list[Reception]:
        offer = UNLEASED if self._leasing is None else Offer.of(self._leasing)
        with unavailable_when_lost():
            async with self._pool.acquire() as connection, _transaction(connection, messages):
                rows = await connection.fetch(*accepting(messages, offer, residents=self._moved is not None))
                receptions = {row["id"]: _reception(row) for row in rows}
                left_out = [message for message in messages if receptions[message.id] is None]
                if left_out:
                    receptions |= await _explain(connection, left_out)
                if self._moved is not None:
                    receptions |= await self._not_resident(connection, messages, receptions)
        leased = Counter(row["id"] for row in rows if row["endpoint_id"] is not None)
        if self._leasing is not None and leased:
            accepted = {message.id: message for message in messages}
            claims = self._leasing.reader.born(rows, accepted, lease=offer.lease)
            self._leasing.engine.take_in(claims)
        later = {message.id for message in messages if _is_for_later(message)}
        if any(row["deliveries"] > leased[row["id"]] and row["id"] not in later for row in rows):
            self._accepted()
        if rows[0]["numbered"]:
            self._numbered()
        return [_known(receptions[message.id]) for message in messages]

    async def _not_resident(
        self,
        connection: asyncpg.Connection,
        messages: Sequence[NewMessage],
        receptions: dict[MessageId, Reception | None],
    ) -> dict[MessageId, Reception | None]:
        """Whose application was not found since they live elsewhere."""
        unknown = [message for message in messages if isinstance(receptions[message.id], UnknownApplication)]
        if not unknown:
            return {}
        rows = await connection.fetch(*RESIDENTS(org_ids=list({message.org_id for message in unknown})))
        residents = {row["org_id"] for row in rows}
        strangers = [message for message in unknown if message.org_id not in residents]
        for org_id in {message.org_id for message in strangers}:
            cast("Callable[[OrgId], None]", self._moved)(org_id)
        return {message.id: NotResident() for message in strangers}


def _is_for_later(message: NewMessage) -> bool:
    """Whether every engine polls before the message is due, even if the database's clock is a minute ahead."""
    return message.deliver_at is not None and message.deliver_at - message.accepted_at > POLLED_WITHIN


def _transaction(connection: asyncpg.Connection, messages: Sequence[NewMessage]) -> AbstractAsyncContextManager[object]:
    """A transaction if a message has both an event id and a key, which may need a second statement; else none."""
    if any(message.event_id is not None and message.idempotency_key is not None for message in messages):
        return cast("AbstractAsyncContextManager[object]", connection.transaction())
    return nullcontext()


def accepting(
    messages: Sequence[NewMessage], offer: Offer = UNLEASED, *, residents: bool = False
) -> tuple[object, ...]:
    """The accept statement with the parameters for these messages; with `residents`, that for organisations which live
    in the database."""
    return (ACCEPT_RESIDENTS if residents else ACCEPT)(
        rows=write_rows([_row(message) for message in messages]),
        payloads=[message.payload for message in messages],
        size=len(messages),
        keys_kept=KEYS_KEPT,
        most=offer.room.limit,
        lease=offer.lease,
        lease_lasts=offer.lease_lasts,
        **shares(offer.room.per_endpoint, offer.room.rooms),
    )


def _row(message: NewMessage) -> dict[str, object]:
    """The message without its payload, which is binary."""
    row: dict[str, object] = {
        "id": message.id,
        "org_id": message.org_id,
        "app": message.app,
        "event_id": message.event_id,
        "event_type": message.event_type,
        "channels": _joined(message.channels),
        "tags": _joined(message.tags),
        "deliver_at": message.deliver_at,
        "expires_at": message.expires_at,
        "correlation_id": message.correlation_id,
        "traceparent": message.traceparent,
        "checked_against": message.checked_against,
        "content_type": message.content_type,
    }
    key = message.idempotency_key
    if key is None:
        return row
    return row | {"scope": _hex(key.scope), "fingerprint": _hex(key.fingerprint)}


def _hex(binary: bytes) -> str:
    """Bytes as PostgreSQL reads them in text."""
    return f"\\x{binary.hex()}"


def _joined(names: tuple[str, ...] | None) -> str | None:
    """Names as one text, since PostgreSQL has no arrays of arrays of different lengths."""
    return ",".join(names) if names else None


def _first_uses(scopes: Sequence[bytes]) -> tuple[object, ...]:
    return FIRST_USES(scopes=scopes, keys_kept=KEYS_KEPT)


def _reception(row: asyncpg.Record) -> Reception | None:
    if row["unchecked"]:
        return Unchecked()
    if row["app_id"] is None:
        return UnknownApplication()
    if row["admitted"]:
        return Accepted(app_id=ApplicationId(row["app_id"]), app_uid=row["app_uid"], deliveries=row["deliveries"])
    return None


async def _explain(connection: asyncpg.Connection, left_out: list[NewMessage]) -> dict[MessageId, Reception | None]:
    """Why these messages were refused: their key was used before, or else their event id is another message's."""
    await connection.execute(*RELEASE_EVENT_IDS(ids=[message.id for message in left_out]))
    scopes = [message.idempotency_key.scope for message in left_out if message.idempotency_key]
    first_uses = {row["scope"]: row for row in await connection.fetch(*_first_uses(scopes))}
    return {message.id: _why(message, first_uses) for message in left_out}


def _why(message: NewMessage, first_uses: dict[bytes, asyncpg.Record]) -> Reception:
    key = message.idempotency_key
    first = first_uses.get(key.scope) if key else None
    return EventIdTaken() if key is None or first is None else _used_before(key, first)


def _used_before(key: IdempotencyKey, first: asyncpg.Record) -> Repeated | KeyTaken:
    if not key.repeats(first["fingerprint"]):
        return KeyTaken()
    return Repeated(id=MessageId(first["message_id"]))


def _known(reception: Reception | None) -> Reception:
    if reception is None:
        raise RuntimeError("the accept statement returned no row for a message")
    return reception
