"""Attempts and states of deliveries in PostgreSQL, for reading, and resending."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, ScalarSelect, Select, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.repositories.delivery_states import (
    is_tried,
    messages_tried,
    state_columns,
    state_of,
    with_state,
)
from service.adapters.postgres.repositories.endpoints import endpoint_of
from service.adapters.postgres.repositories.filters import attempts_wanted, labelled, narrows, told_by_attempt, within
from service.adapters.postgres.repositories.messages import message_of, page_with_payloads, select_messages
from service.adapters.postgres.repositories.pages import keyset, page_of, within_bytes
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.columns import read_pairs
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import AttemptFilter, Page, PageRequest
from service.domain import ids
from service.domain.deliveries import Attempt, DeliveryState, Status, Trigger
from service.domain.destinations import destination_of
from service.domain.endpoints import Endpoint
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId
from service.domain.messages import Message

_attempt = tables.attempt
_pending = tables.pending_delivery


class PostgresDeliveries:
    """Fulfils `ports.DeliveryRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def attempt(self, app_id: ApplicationId, message_id: MessageId, attempt_id: AttemptId) -> Attempt | None:
        """One attempt by its id."""
        statement = select(_attempt).where(
            _attempt.c.id == attempt_id, _attempt.c.app_id == app_id, _attempt.c.message_id == message_id
        )
        row = (await self._transaction.execute(statement)).first()
        return _attempt_of(row) if row else None

    async def attempts(self, app_id: ApplicationId, attempt_ids: Collection[AttemptId]) -> Sequence[Attempt]:
        """The attempts with these ids that exist, by id."""
        statement = select(_attempt).where(_attempt.c.app_id == app_id, _attempt.c.id.in_(attempt_ids))
        return [_attempt_of(row) for row in await self._transaction.execute(statement.order_by(_attempt.c.id))]

    async def attempts_by_message(self, message: Message, page: PageRequest, wanted: AttemptFilter) -> Page[Attempt]:
        """The message's attempts by id, which is by time."""
        statement = select(_attempt).where(
            _attempt.c.app_id == message.app_id,
            _attempt.c.message_id == message.id,
            *within(_attempt.c.id, ids.ATTEMPT, wanted),
            *told_by_attempt(wanted),
        )
        return await self._page(labelled(statement, message.app_id, _attempt.c.message_id, wanted), page, wanted)

    async def attempts_by_endpoint(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[Attempt]:
        """The endpoint's attempts by id, which is by time."""
        statement = select(_attempt).where(
            _attempt.c.app_id == app_id,
            _attempt.c.endpoint_id == endpoint_id,
            *within(_attempt.c.id, ids.ATTEMPT, wanted),
        )
        if narrows(wanted):
            found = attempts_wanted(app_id, endpoint_id, page, wanted)
            statement = statement.join(found, found.c.id == _attempt.c.id)
        return await self._page(statement, page, wanted)

    async def states(self, message: Message, page: PageRequest) -> Page[tuple[Endpoint, DeliveryState]]:
        """The endpoints with an attempt or an end of the message, by id, including deleted endpoints."""
        endpoint = tables.endpoint
        # Starts from the application's few endpoints, since pending deliveries have no index by message.
        columns = (
            *(column for column in endpoint.c if column.name not in {"secrets", "headers"}),
            literal(message.id).label("message_id"),
            *state_columns(),
        )
        statement = with_state(select(*columns).select_from(endpoint), endpoint.c.id, literal(message.id))
        statement = statement.where(endpoint.c.app_id == message.app_id, *is_tried(AttemptFilter()))
        result = await self._transaction.execute(keyset(statement, endpoint.c.id, page))
        return page_of(result.all(), page, lambda row: (endpoint_of(row), state_of(row, EndpointId(row.id))))

    async def messages(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[tuple[Message, DeliveryState]]:
        """The messages that the endpoint was sent at least once, or that ended without an attempt, by message id."""
        message = tables.message
        tried = messages_tried(app_id, endpoint_id, page, wanted)
        statement = (
            select_messages(with_content=wanted.with_content)
            .add_columns(message.c.id.label("message_id"), *state_columns())
            .select_from(tried)
            .join(message, message.c.id == tried.c.id)
            .where(message.c.app_id == app_id)
        )
        statement = with_state(statement, literal(endpoint_id), message.c.id)
        result = await self._transaction.execute(page_with_payloads(statement, page, wanted))
        return page_of(result.all(), page, lambda row: (message_of(row), state_of(row, endpoint_id)))

    async def resend(self, message: Message, endpoint: Endpoint, *, resend: str, at: datetime) -> None:
        """Queue one manual attempt. The scheduled delivery does not change. Another attempt's success ends the manual
        one, unless the message was delivered before and is sent again on purpose."""
        await self._transaction.execute(
            insert(_pending).values(
                endpoint_id=endpoint.id,
                message_id=message.id,
                resend=resend,
                org_id=endpoint.org_id,
                app_id=endpoint.app_id,
                attempts=0,
                due_at=at,
                previous=_latest_attempt(message, endpoint.id),
                again=_was_delivered(message, endpoint.id),
            )
        )
        self._transaction.delivery_due()

    async def _page(self, statement: Select[Any], page: PageRequest, wanted: AttemptFilter) -> Page[Attempt]:
        found = keyset(statement, _attempt.c.id, page)
        if wanted.with_content:
            found = within_bytes(found, _stored_bytes, "id", page)
        result = await self._transaction.execute(found)
        return page_of(result.all(), page, _attempt_of)


def _stored_bytes(rows: FromClause) -> ColumnElement[int]:
    """The bytes of an attempt's answer, URL and headers."""
    said = (rows.c.response, rows.c.url, rows.c.request_headers, rows.c.response_headers)
    return sum((func.coalesce(func.octet_length(part), 0) for part in said), start=literal(0))


def _latest_attempt(message: Message, endpoint_id: EndpointId) -> ScalarSelect[Any]:
    """The latest attempt's traceparent, NULL when there is none."""
    return (
        select(func.concat("00-", _attempt.c.trace_id, "-", _attempt.c.span_id, "-01"))
        .where(_attempt.c.app_id == message.app_id, _attempt.c.message_id == message.id)
        .where(_attempt.c.endpoint_id == endpoint_id, _attempt.c.span_id.is_not(None))
        .order_by(_attempt.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )


def _was_delivered(message: Message, endpoint_id: EndpointId) -> ColumnElement[bool]:
    settled = tables.settled_delivery.c
    return (
        select(settled.message_id)
        .where(settled.message_id == message.id, settled.endpoint_id == endpoint_id)
        .where(settled.status == Status.SUCCESS)
        .exists()
    )


def _attempt_of(row: Row[Any]) -> Attempt:
    return Attempt(
        id=row.id,
        message_id=row.message_id,
        endpoint_id=row.endpoint_id,
        event_type=row.event_type,
        destination=destination_of(row.url),
        status=Status(row.status),
        response=row.response,
        response_status_code=row.response_status_code,
        duration_ms=row.duration_ms,
        trigger=Trigger(row.trigger),
        number=row.number,
        started_at=ids.time_of(row.id),
        error_type=row.error_type,
        trace_id=row.trace_id,
        span_id=row.span_id,
        request_headers=read_pairs(row.request_headers),
        response_headers=read_pairs(row.response_headers),
    )
