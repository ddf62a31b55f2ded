"""Ordered destinations in PostgreSQL, with sinks and secrets encrypted, and what their consumers have read."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.queue.ordered import destination_of
from service.adapters.postgres.queue.streams import POSITION_AT, passage_of, reading
from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.columns import open_secrets, seal_secrets, seal_sink
from service.adapters.postgres.server.transaction import Transaction, conflict_when_taken
from service.application.ports.machine import Vault
from service.application.ports.ordered import Extent, Passage
from service.application.ports.pages import Page, PageRequest
from service.domain import ids
from service.domain.errors import Conflict, LimitReached, NotFound
from service.domain.ids import ApplicationId, DestinationId
from service.domain.limits import MAX_CONSUMERS
from service.domain.ordered import Consumer, OrderedDestination, OrderedStatus
from service.domain.signatures import Secret
from service.domain.sinks import SinkKind

_table, _stream, _consumer = tables.destination, tables.stream, tables.destination_consumer
_plain = [column for column in _table.c if column.name not in {"secrets", "ahead", "lease", "lease_until"}]
_TAKEN = "A destination with that uid already exists"


class PostgresDestinations:
    """Fulfils `ports.DestinationRepository`."""

    def __init__(self, transaction: Transaction, vault: Vault) -> None:
        self._transaction = transaction
        self._vault = vault

    async def get(self, app_id: ApplicationId, ref: str, *, lock: bool = False) -> OrderedDestination | None:
        """The destination with this id or uid."""
        # A uid never begins with the prefix of an id, so one column decides.
        key = _table.c.id if ref.startswith(ids.DESTINATION) else _table.c.uid
        statement = select(*_plain).where(_table.c.app_id == app_id, key == ref)
        result = await self._transaction.execute(statement.with_for_update() if lock else statement)
        row = result.first()
        return self._destination(row) if row else None

    async def page(
        self, app_id: ApplicationId, page: PageRequest, *, kinds: Collection[SinkKind] = tuple(SinkKind)
    ) -> Page[OrderedDestination]:
        """Destinations of these kinds, by id."""
        statement = select(*_plain).where(_table.c.app_id == app_id, _table.c.kind.in_(kinds))
        result = await self._transaction.execute(keyset(statement, _table.c.id, page))
        return page_of(result.all(), page, self._destination)

    async def add(self, destination: OrderedDestination, secrets: Sequence[Secret] = ()) -> None:
        """Conflict when the uid is taken."""
        fixed = {
            "id": destination.id,
            "org_id": destination.org_id,
            "app_id": destination.app_id,
            "position": destination.position,
            "created_at": destination.created_at,
            "secrets": seal_secrets(self._vault, secrets) if secrets else None,
        }
        values = self._columns(destination) | fixed
        statement = insert(_table).values(values).on_conflict_do_nothing().returning(_table.c.id)
        if (await self._transaction.execute(statement)).first() is None:
            raise Conflict(_TAKEN)
        await self._stir(destination)

    async def replace(self, destination: OrderedDestination) -> None:
        """All but its position. Conflict when the uid is taken, NotFound when it was deleted meanwhile."""
        with conflict_when_taken(_TAKEN):
            result = await self._transaction.execute(
                update(_table).where(*_is_this(destination)).values(self._columns(destination)).returning(_table.c.id)
            )
        if result.first() is None:
            raise NotFound
        await self._stir(destination)

    async def move(self, destination: OrderedDestination, *, position: int) -> None:
        """Go on after this position. Whoever reads it now loses it, and with it the right to say how far it is."""
        values = {"position": position, "ahead": [], "lease": null(), "lease_until": null()}
        await self._transaction.execute(update(_table).where(*_is_this(destination)).values(values))
        await self._stir(destination)

    async def delete(self, destination: OrderedDestination) -> None:
        """Delete it with its consumers."""
        await self._transaction.execute(delete(_table).where(*_is_this(destination)))

    async def secrets(self, destination_id: DestinationId) -> tuple[Secret, ...]:
        """Newest first; none for a kind without signatures."""
        result = await self._transaction.execute(select(_table.c.secrets).where(_table.c.id == destination_id))
        blob: bytes | None = result.scalar_one()
        return () if blob is None else open_secrets(self._vault, blob)

    async def keep_secrets(self, destination_id: DestinationId, secrets: Sequence[Secret]) -> None:
        """Put these in the place of the old ones."""
        sealed = seal_secrets(self._vault, secrets)
        await self._transaction.execute(update(_table).where(_table.c.id == destination_id).values(secrets=sealed))

    async def position_at(self, app_id: ApplicationId, at: datetime | None = None) -> int:
        """The last position before that time; without one, the last position of all."""
        new = insert(_stream).values(app_id=app_id, head=0, active=False).on_conflict_do_nothing()
        await self._transaction.execute(new)
        if at is not None:
            return int((await self._transaction.execute_driver(*POSITION_AT(app=app_id, at=at))).scalar_one())
        result = await self._transaction.execute(select(_stream.c.head).where(_stream.c.app_id == app_id))
        return int(result.scalar_one())

    async def read(self, app_id: ApplicationId, extent: Extent, *, after: int) -> Passage:
        """The messages after a position."""
        result = await self._transaction.execute_driver(*reading(app_id, extent, after=after))
        return passage_of(result.mappings().all(), extent, after=after)

    async def consumer(self, destination: OrderedDestination, consumer_id: str) -> Consumer:
        """What the consumer has read; a new one begins at the destination's position. LimitReached when there are
        MAX_CONSUMERS."""
        statement = select(_consumer).where(*_is_of(destination.id, consumer_id)).with_for_update()
        row = (await self._transaction.execute(statement)).one_or_none()
        if row is None:
            await self._add_consumer(destination, consumer_id)
            row = (await self._transaction.execute(statement)).one()
        return Consumer(position=row.position, polled=row.polled, acknowledges=row.acknowledges)

    async def _add_consumer(self, destination: OrderedDestination, consumer_id: str) -> None:
        those = select(func.count()).where(_consumer.c.destination_id == destination.id)
        if (await self._transaction.execute(those)).scalar_one() >= MAX_CONSUMERS:
            raise LimitReached(
                f"A polling endpoint has at most {MAX_CONSUMERS:,} consumers. Let one of them read on, or make another."
            )
        new = {
            "destination_id": destination.id,
            "consumer_id": consumer_id,
            "position": destination.position,
            "updated_at": func.now(),
        }
        await self._transaction.execute(insert(_consumer).values(new).on_conflict_do_nothing())

    async def keep_consumer(self, destination_id: DestinationId, consumer_id: str, consumer: Consumer) -> None:
        """Put this in the place of what it had read."""
        values = {
            "position": consumer.position,
            "polled": consumer.polled,
            "acknowledges": consumer.acknowledges,
            "updated_at": func.now(),
        }
        await self._transaction.execute(update(_consumer).where(*_is_of(destination_id, consumer_id)).values(values))

    async def _stir(self, destination: OrderedDestination) -> None:
        """There may be something to send."""
        if destination.status is OrderedStatus.ENABLED:
            # An active stream is locked as well: who sets it at rest meanwhile does not see yet what has been changed.
            awake = update(_stream).where(_stream.c.app_id == destination.app_id)
            await self._transaction.execute(awake.values(active=True))
            self._transaction.stream_due()

    def _columns(self, destination: OrderedDestination) -> dict[str, Any]:
        return {
            "uid": destination.uid,
            "kind": destination.sink.kind,
            "sealed": seal_sink(self._vault, destination.sink),
            "status": destination.status,
            "batch_size": destination.batch_size,
            "max_wait_secs": destination.max_wait_secs,
            "event_types": destination.event_types,
            "channels": destination.channels,
            "metadata": dict(destination.metadata),
            "attempts": destination.attempts,
            "first_failed_at": destination.first_failed_at,
            "due_at": destination.due_at,
            "failure_reason": destination.failure_reason,
            "updated_at": destination.updated_at,
        }

    def _destination(self, row: Row[Any]) -> OrderedDestination:
        return destination_of(row._mapping, self._vault)  # noqa: SLF001 - its documented name: rows are tuples


def _is_this(destination: OrderedDestination) -> tuple[Any, ...]:
    return _table.c.id == destination.id, _table.c.app_id == destination.app_id


def _is_of(destination_id: DestinationId, consumer_id: str) -> tuple[Any, ...]:
    return _consumer.c.destination_id == destination_id, _consumer.c.consumer_id == consumer_id
