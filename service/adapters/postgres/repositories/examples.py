"""Stores examples like other messages and attempts, and finds out whether any endpoint wants a message."""

from collections.abc import Collection

from sqlalchemy import ARRAY, Text, any_, cast, null, or_, select
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.columns import write_pairs
from service.adapters.postgres.server.transaction import Transaction
from service.domain.deliveries import Attempt
from service.domain.endpoints import Endpoint
from service.domain.ids import ApplicationId
from service.domain.messages import NewMessage

_endpoint = tables.endpoint


class PostgresExamples:
    """Fulfils `ports.ExampleRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def keep(self, message: NewMessage, attempt: Attempt, endpoint: Endpoint) -> None:
        """Store the message, its attempt, and the state of its delivery."""
        tenant = {"org_id": endpoint.org_id, "app_id": endpoint.app_id}
        delivery = {"message_id": message.id, "endpoint_id": endpoint.id}
        await self._transaction.execute(
            insert(tables.message).values(
                id=message.id,
                **tenant,
                event_type=message.event_type,
                payload=message.payload,
                expires_at=message.expires_at,
                correlation_id=message.correlation_id,
                traceparent=message.traceparent,
            )
        )
        await self._transaction.execute(
            insert(tables.attempt).values(
                id=attempt.id,
                **tenant,
                **delivery,
                event_type=message.event_type,
                channels=null(),
                url=attempt.destination.shown,
                status=attempt.status,
                response=attempt.response,
                response_status_code=attempt.response_status_code,
                duration_ms=attempt.duration_ms,
                trigger=attempt.trigger,
                number=attempt.number,
                error_type=attempt.error_type,
                trace_id=attempt.trace_id,
                span_id=attempt.span_id,
                request_headers=write_pairs(attempt.request_headers),
                response_headers=write_pairs(attempt.response_headers),
            )
        )
        await self._transaction.execute(
            insert(tables.settled_delivery).values(**tenant, **delivery, status=attempt.status, attempts=1)
        )

    async def wanted(self, app_id: ApplicationId, event_type: str, channels: Collection[str] | None) -> bool:
        """Whether any endpoint of the application wants such a message."""
        types, wanted = _endpoint.c.event_types, _endpoint.c.channels
        statement = (
            select(_endpoint.c.id)
            .where(
                _endpoint.c.app_id == app_id,
                _endpoint.c.deleted_at.is_(None),
                _endpoint.c.disabled.is_(False),
                or_(types.is_(None), any_(types) == event_type),
                or_(wanted.is_(None), wanted.op("&&")(cast(list(channels or ()), ARRAY(Text)))),
            )
            .limit(1)
        )
        return (await self._transaction.execute(statement)).first() is not None
