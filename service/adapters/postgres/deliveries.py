"""Attempts and the states of deliveries in PostgreSQL, for reading, and the asking for one more attempt."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, any_, case, func, literal, null, or_, select, union_all
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres import tables
from service.adapters.postgres.endpoints import endpoint_of
from service.adapters.postgres.messages import message_of, narrowed, select_messages
from service.adapters.postgres.pages import keyset, page_of
from service.adapters.postgres.transaction import Transaction
from service.application.ports.lists import AttemptFilter, Page, PageRequest
from service.domain import ids
from service.domain.deliveries import Attempt, DeliveryState, Status, Trigger
from service.domain.endpoints import Endpoint
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId
from service.domain.messages import Message

_attempt = tables.attempt
_pending = tables.pending_delivery
_settled = tables.settled_delivery
# The time of a lease's end is nobody's business outside the queue.
_due = case((_pending.c.lease.is_(None), _pending.c.due_at))


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
        """Those that there are, by id."""
        statement = select(_attempt).where(_attempt.c.app_id == app_id, _attempt.c.id.in_(attempt_ids))
        return [_attempt_of(row) for row in await self._transaction.execute(statement.order_by(_attempt.c.id))]

    async def attempts_by_message(self, message: Message, page: PageRequest, wanted: AttemptFilter) -> Page[Attempt]:
        """The message's attempts by id, which is by time."""
        statement = select(_attempt).where(
            _attempt.c.app_id == message.app_id, _attempt.c.message_id == message.id, *_wanted(wanted)
        )
        return await self._page(statement, page)

    async def attempts_by_endpoint(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[Attempt]:
        """The endpoint's attempts by id, which is by time."""
        statement = select(_attempt).where(
            _attempt.c.app_id == app_id, _attempt.c.endpoint_id == endpoint_id, *_wanted(wanted)
        )
        return await self._page(statement, page)

    async def states(self, message: Message, page: PageRequest) -> Page[tuple[Endpoint, DeliveryState]]:
        """The endpoints where the message was tried or given up, by id, deleted endpoints included."""
        endpoint = tables.endpoint
        # From the application's endpoints, which are few: what is owed has no index by message.
        statement = (
            select(
                *(column for column in endpoint.c if column.name not in {"secrets", "headers"}),
                literal(message.id).label("message_id"),
                *_state_columns(),
            )
            .select_from(endpoint)
            .outerjoin(_pending, _scheduled(endpoint.c.id, literal(message.id)))
            .outerjoin(_settled, and_(_settled.c.endpoint_id == endpoint.c.id, _settled.c.message_id == message.id))
            .where(
                endpoint.c.app_id == message.app_id,
                or_(_pending.c.attempts > 0, _settled.c.endpoint_id.is_not(None)),
            )
        )
        result = await self._transaction.execute(keyset(statement, endpoint.c.id, page))
        return page_of(result.all(), page, lambda row: (endpoint_of(row), _state_of(row, EndpointId(row.id))))

    async def messages(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[tuple[Message, DeliveryState]]:
        """What the endpoint was sent at least once, or what was given up, by message id."""
        message = tables.message
        known = union_all(
            select(_pending.c.message_id).where(
                _pending.c.endpoint_id == endpoint_id, _pending.c.resend == "", _pending.c.attempts > 0
            ),
            select(_settled.c.message_id).where(_settled.c.endpoint_id == endpoint_id),
        ).subquery()
        statement = (
            select_messages(with_content=wanted.with_content)
            .add_columns(message.c.id.label("message_id"), *_state_columns())
            .select_from(message)
            .outerjoin(_pending, _scheduled(literal(endpoint_id), message.c.id))
            .outerjoin(_settled, and_(_settled.c.endpoint_id == endpoint_id, _settled.c.message_id == message.c.id))
            .where(message.c.app_id == app_id, message.c.id.in_(select(known.c.message_id)))
        )
        if wanted.status is not None:
            statement = statement.where(_state_status() == wanted.status)
        result = await self._transaction.execute(keyset(narrowed(statement, wanted), message.c.id, page))
        return page_of(result.all(), page, lambda row: (message_of(row), _state_of(row, endpoint_id)))

    async def resend(self, message: Message, endpoint: Endpoint, *, resend: str, at: datetime) -> None:
        """Owe one manual attempt. Nothing that is scheduled changes."""
        await self._transaction.execute(
            insert(_pending).values(
                endpoint_id=endpoint.id,
                message_id=message.id,
                resend=resend,
                org_id=endpoint.org_id,
                app_id=endpoint.app_id,
                attempts=0,
                due_at=at,
            )
        )

    async def _page(self, statement: Select[Any], page: PageRequest) -> Page[Attempt]:
        result = await self._transaction.execute(keyset(statement, _attempt.c.id, page))
        return page_of(result.all(), page, _attempt_of)


def _wanted(wanted: AttemptFilter) -> list[ColumnElement[bool]]:
    column = _attempt.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.before is not None:
        conditions.append(column.id < ids.lowest(ids.ATTEMPT, wanted.before))
    if wanted.after is not None:
        conditions.append(column.id > ids.lowest(ids.ATTEMPT, wanted.after))
    if wanted.status is not None:
        conditions.append(column.status == wanted.status)
    if wanted.status_code_class is not None:
        lowest = wanted.status_code_class
        conditions.append(column.response_status_code.between(lowest, lowest + 99))
    if wanted.endpoint_id is not None:
        conditions.append(column.endpoint_id == wanted.endpoint_id)
    if wanted.channel is not None:
        conditions.append(literal(wanted.channel) == any_(column.channels))
    if wanted.event_types is not None:
        conditions.append(column.event_type.in_(wanted.event_types))
    if wanted.tag is not None:
        message = tables.message.c
        tagged = select(message.id).where(message.id == column.message_id, literal(wanted.tag) == any_(message.tags))
        conditions.append(tagged.exists())
    return conditions


def _scheduled(endpoint_id: ColumnElement[Any], message_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(_pending.c.endpoint_id == endpoint_id, _pending.c.message_id == message_id, _pending.c.resend == "")


def _state_status() -> ColumnElement[int]:
    return case((_pending.c.message_id.is_not(None), int(Status.SENDING)), else_=_settled.c.status)


def _state_columns() -> list[ColumnElement[Any]]:
    return [
        _state_status().label("state"),
        func.coalesce(_pending.c.attempts, _settled.c.attempts).label("attempts"),
        case((_pending.c.message_id.is_not(None), _due), else_=null()).label("next_attempt_at"),
    ]


def _state_of(row: Row[Any], endpoint_id: EndpointId) -> DeliveryState:
    return DeliveryState(
        message_id=row.message_id,
        endpoint_id=endpoint_id,
        status=Status(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )


def _attempt_of(row: Row[Any]) -> Attempt:
    return Attempt(
        id=row.id,
        message_id=row.message_id,
        endpoint_id=row.endpoint_id,
        url=row.url,
        status=Status(row.status),
        response=row.response,
        response_status_code=row.response_status_code,
        duration_ms=row.duration_ms,
        trigger=Trigger(row.trigger),
        number=row.number,
        started_at=ids.time_of(row.id),
        error_type=row.error_type,
        trace_id=row.trace_id,
    )
