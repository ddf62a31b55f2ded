"""Endpoints in PostgreSQL, with secrets and headers encrypted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, null, select, update
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.columns import (
    open_headers,
    open_secrets,
    seal_headers,
    seal_secrets,
)
from service.adapters.postgres.server.transaction import Transaction, conflict_when_taken
from service.application.ports.machine import Vault
from service.application.ports.pages import Page, PageRequest
from service.domain import ids
from service.domain.destinations import destination_of
from service.domain.endpoints import DisabledReason, Endpoint
from service.domain.errors import Conflict, NotFound
from service.domain.ids import ApplicationId, EndpointId
from service.domain.signatures import Secret

_table = tables.endpoint
_plain = [column for column in _table.c if column.name not in {"secrets", "headers", "first_failure_at"}]
_TAKEN = "An endpoint with that uid already exists"


class PostgresEndpoints:
    """Fulfils `ports.EndpointRepository`."""

    def __init__(self, transaction: Transaction, vault: Vault) -> None:
        self._transaction = transaction
        self._vault = vault

    async def get(self, app_id: ApplicationId, ref: str, *, lock: bool = False) -> Endpoint | None:
        """The live endpoint with this id or uid."""
        # A uid never begins with the prefix of an id, so one column decides.
        key = _table.c.id if ref.startswith(ids.ENDPOINT) else _table.c.uid
        statement = select(*_plain).where(_table.c.app_id == app_id, key == ref, _table.c.deleted_at.is_(None))
        result = await self._transaction.execute(statement.with_for_update() if lock else statement)
        row = result.first()
        return endpoint_of(row) if row else None

    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[Endpoint]:
        """Live endpoints by id."""
        statement = select(*_plain).where(_table.c.app_id == app_id, _table.c.deleted_at.is_(None))
        result = await self._transaction.execute(keyset(statement, _table.c.id, page))
        return page_of(result.all(), page, endpoint_of)

    async def add(self, endpoint: Endpoint, secrets: Sequence[Secret], headers: dict[str, str]) -> None:
        """Conflict when the uid is taken."""
        values = _columns(endpoint) | {
            "secrets": seal_secrets(self._vault, secrets),
            "headers": seal_headers(self._vault, headers),
        }
        statement = insert(_table).values(values).on_conflict_do_nothing().returning(_table.c.id)
        if (await self._transaction.execute(statement)).first() is None:
            raise Conflict(_TAKEN)

    async def replace(self, endpoint: Endpoint) -> None:
        """Conflict when the uid is taken, NotFound when it was deleted meanwhile."""
        values = _columns(endpoint)
        with conflict_when_taken(_TAKEN):
            result = await self._transaction.execute(
                update(_table).where(*_is_this(endpoint)).values(values).returning(_table.c.id)
            )
        if result.first() is None:
            raise NotFound

    async def forget_failures(self, endpoint: Endpoint) -> None:
        """Reset its series of failures, after which it would be disabled."""
        await self._transaction.execute(update(_table).where(*_is_this(endpoint)).values(first_failure_at=null()))

    async def delete(self, endpoint: Endpoint, *, at: datetime) -> None:
        """Mark it as deleted, and free the uid."""
        await self._transaction.execute(update(_table).where(*_is_this(endpoint)).values(deleted_at=at, uid=null()))

    async def secrets(self, endpoint_id: EndpointId, *, lock: bool = False) -> tuple[Secret, ...]:
        """The secrets, newest first; with `lock` the row is locked until the end of the transaction."""
        return open_secrets(self._vault, await self._sealed(endpoint_id, "secrets", lock=lock))

    async def keep_secrets(self, endpoint_id: EndpointId, secrets: Sequence[Secret]) -> None:
        """Put these in the place of the old ones."""
        await self._keep(endpoint_id, secrets=seal_secrets(self._vault, secrets))

    async def headers(self, endpoint_id: EndpointId, *, lock: bool = False) -> dict[str, str]:
        """The endpoint's own headers; with `lock` the row is locked until the end of the transaction."""
        return open_headers(self._vault, await self._sealed(endpoint_id, "headers", lock=lock))

    async def keep_headers(self, endpoint_id: EndpointId, headers: dict[str, str]) -> None:
        """Put these in the place of the old ones."""
        await self._keep(endpoint_id, headers=seal_headers(self._vault, headers))

    async def _sealed(self, endpoint_id: EndpointId, column: str, *, lock: bool) -> bytes:
        statement = select(_table.c[column]).where(_table.c.id == endpoint_id)
        result = await self._transaction.execute(statement.with_for_update() if lock else statement)
        blob: bytes = result.scalar_one()
        return blob

    async def _keep(self, endpoint_id: EndpointId, **sealed: bytes) -> None:
        await self._transaction.execute(update(_table).where(_table.c.id == endpoint_id).values(**sealed))


def endpoint_of(row: Row[Any]) -> Endpoint:
    """The endpoint in a row with the table's columns, except secrets and headers."""
    return Endpoint(
        id=row.id,
        app_id=row.app_id,
        org_id=row.org_id,
        uid=row.uid,
        destination=destination_of(row.url),
        description=row.description,
        version=row.version,
        disabled=row.disabled,
        throttle_rate=row.throttle_rate,
        event_types=tuple(row.event_types) if row.event_types is not None else None,
        channels=tuple(row.channels) if row.channels is not None else None,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
        # The release before does not clear the reason when it enables an endpoint.
        disabled_reason=DisabledReason(row.disabled_reason) if row.disabled and row.disabled_reason else None,
        disabled_at=row.disabled_at if row.disabled else None,
    )


def _is_this(endpoint: Endpoint) -> tuple[Any, ...]:
    return _table.c.id == endpoint.id, _table.c.app_id == endpoint.app_id, _table.c.deleted_at.is_(None)


def _columns(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "org_id": endpoint.org_id,
        "app_id": endpoint.app_id,
        "uid": endpoint.uid,
        "url": endpoint.destination.shown,
        "description": endpoint.description,
        "version": endpoint.version,
        "disabled": endpoint.disabled,
        "throttle_rate": endpoint.throttle_rate,
        "event_types": endpoint.event_types,
        "channels": endpoint.channels,
        "metadata": endpoint.metadata,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "disabled_reason": endpoint.disabled_reason,
        "disabled_at": endpoint.disabled_at,
    }
