"""States of deliveries, read from two tables: pending ones that were attempted, and settled ones."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Row, Select, and_, case, func, literal, or_, select, union
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from service.adapters.postgres.repositories.filters import labelled, messages_wanted, narrows, within
from service.adapters.postgres.repositories.pages import keyset, merged
from service.adapters.postgres.server import tables
from service.application.ports.pages import AttemptFilter, MessageFilter, PageRequest
from service.domain import ids
from service.domain.deliveries import DeliveryState, Status
from service.domain.ids import ApplicationId, EndpointId
from service.domain.moves import SET_ASIDE

_Columns = ReadOnlyColumnCollection[str, Column[Any]]

_pending = tables.pending_delivery.c
_settled = tables.settled_delivery.c
_message = tables.message.c
_endpoint = tables.endpoint.c


def messages_tried(
    app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
) -> FromClause:
    """The ids of a page of messages that the endpoint was sent at least once, or whose deliveries ended."""
    if not narrows(replace(wanted, status=None)):
        return _of_endpoint(endpoint_id, page, wanted)
    if wanted.status is not None:
        return _standing(app_id, endpoint_id, page, wanted)

    def tried(statement: Select[Any]) -> Select[Any]:
        return with_state(statement, literal(endpoint_id), _message.id).where(*is_tried(wanted))

    return messages_wanted(app_id, page, wanted, narrow=tried)


def messages_standing(app_id: ApplicationId, page: PageRequest, wanted: MessageFilter) -> FromClause:
    """The ids of a page of messages of which a delivery, to whichever endpoint, has the status `wanted.standing`.

    With other filters, most deliveries succeed: these are looked at message by message, the others by their status.
    """
    if wanted.standing is not Status.SUCCESS or not narrows(wanted):
        return _of_every_endpoint(app_id, page, wanted)
    delivery, stands = _scheduled(wanted.standing)
    there = select(delivery.message_id).join(tables.endpoint, _endpoint.id == delivery.endpoint_id)
    there = there.where(_endpoint.app_id == app_id, delivery.message_id == _message.id, *stands)

    def standing(statement: Select[Any]) -> Select[Any]:
        return statement.where(there.correlate(tables.message).exists())

    return messages_wanted(app_id, page, wanted, narrow=standing)


def with_state(statement: Select[Any], endpoint_id: ColumnElement[str], message_id: ColumnElement[str]) -> Select[Any]:
    """The statement, joined with the pending and settled delivery of that message to that endpoint."""
    pending = and_(_pending.endpoint_id == endpoint_id, _pending.message_id == message_id, *_retried())
    settled = and_(_settled.endpoint_id == endpoint_id, _settled.message_id == message_id)
    return statement.outerjoin(tables.pending_delivery, pending).outerjoin(tables.settled_delivery, settled)


def is_tried(wanted: AttemptFilter) -> list[ColumnElement[bool]]:
    """For statements `with_state`: that the delivery was attempted or has ended, and has the wanted status."""
    if wanted.status is not None:
        return [_status() == wanted.status]
    return [or_(_pending.message_id.is_not(None), _settled.message_id.is_not(None))]


def state_columns() -> list[ColumnElement[Any]]:
    """The columns that `state_of` reads, for statements `with_state`."""
    # The end of a lease is not shown as the time of the next attempt, nor is that of what is set aside for a move.
    is_aside = _pending.due_at >= func.now() + SET_ASIDE / 2
    next_attempt_at = case((is_aside, _pending.due_at - SET_ASIDE), (_pending.lease.is_(None), _pending.due_at))
    return [
        _status().label("state"),
        func.coalesce(_pending.attempts, _settled.attempts).label("attempts"),
        next_attempt_at.label("next_attempt_at"),
    ]


def state_of(row: Row[Any], endpoint_id: EndpointId) -> DeliveryState:
    """The state in a row with `state_columns` and a `message_id`."""
    return DeliveryState(
        message_id=row.message_id,
        endpoint_id=endpoint_id,
        status=Status(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )


def _of_endpoint(endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter) -> FromClause:
    """A page from each table by its own index, merged; a message in both tables occurs once."""
    pending = select(_pending.message_id.label("id")).where(_pending.endpoint_id == endpoint_id, *_retried())
    pending = keyset(pending.where(*within(_pending.message_id, ids.MESSAGE, wanted)), _pending.message_id, page)
    settled = select(_settled.message_id.label("id")).where(_settled.endpoint_id == endpoint_id)
    settled = settled.where(*within(_settled.message_id, ids.MESSAGE, wanted))
    if wanted.status is Status.SENDING:
        return pending.subquery()
    if wanted.status is not None:
        return merged(settled.where(_not_retried()), {_settled.status: [wanted.status]}, _settled.message_id, page)
    settled = keyset(settled, _settled.message_id, page)
    return union(select(pending.subquery()), select(settled.subquery())).subquery()


def _of_every_endpoint(app_id: ApplicationId, page: PageRequest, wanted: MessageFilter) -> FromClause:
    """A page of each endpoint by its index, merged; a message of several endpoints occurs once."""
    delivery, stands = _scheduled(wanted.standing)
    statement = select(delivery.message_id.label("id")).where(*stands)
    statement = statement.where(*within(delivery.message_id, ids.MESSAGE, wanted))
    if wanted.event_types is not None:
        statement = statement.join(tables.message, _message.id == delivery.message_id)
        statement = statement.where(_message.app_id == app_id, _message.event_type.in_(wanted.event_types))
    statement = labelled(statement, app_id, delivery.message_id, wanted)
    endpoints = select(_endpoint.id).where(_endpoint.app_id == app_id)
    of_each: dict[ColumnElement[Any], Iterable[Any] | Select[Any]] = {delivery.endpoint_id: endpoints}
    if wanted.standing is not Status.SENDING:
        of_each[_settled.status] = [wanted.standing]
    each = merged(statement, of_each, delivery.message_id, page)
    return select(each.c.id).distinct().subquery()


def _standing(app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter) -> FromClause:
    """For a status combined with other filters: PostgreSQL starts with the more selective one."""
    table = tables.pending_delivery if wanted.status is Status.SENDING else tables.settled_delivery
    statement = select(_message.id).join(table, table.c.message_id == _message.id)
    statement = statement.where(_message.app_id == app_id, table.c.endpoint_id == endpoint_id)
    statement = statement.where(*within(_message.id, ids.MESSAGE, wanted))
    if wanted.status is Status.SENDING:
        statement = statement.where(*_retried())
    else:
        statement = statement.where(_settled.status == wanted.status, _not_retried())
    if wanted.event_types is not None:
        statement = statement.where(_message.event_type.in_(wanted.event_types))
    return keyset(labelled(statement, app_id, _message.id, wanted, page), _message.id, page).subquery()


def _scheduled(status: Status | None) -> tuple[_Columns, tuple[ColumnElement[bool], ...]]:
    """The columns of the table in which deliveries stand so, and the conditions for those that do."""
    if status is Status.SENDING:
        return _pending, _retried()
    return _settled, (_settled.status == status, _not_retried())


def _not_retried() -> ColumnElement[bool]:
    again = select(_pending.message_id).where(
        _pending.endpoint_id == _settled.endpoint_id, _pending.message_id == _settled.message_id, *_retried()
    )
    return ~again.correlate(tables.settled_delivery).exists()


def _retried() -> tuple[ColumnElement[bool], ...]:
    return _pending.resend == "", _pending.attempts > 0, _pending.delivered.is_(False)


def _status() -> ColumnElement[int]:
    return case((_pending.message_id.is_not(None), int(Status.SENDING)), else_=_settled.status)
