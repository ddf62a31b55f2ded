"""Filters of lists. Each one is read by an index in the order of the list.

A filter with several values reads a page for each value and merges them, so that a page costs what is on it, however
long the list is. Only combined filters cost as much as all matches of the more selective one.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Select, select, text

from service.adapters.postgres.repositories.pages import beyond, keyset, merged
from service.adapters.postgres.server import tables
from service.application.ports.pages import AttemptFilter, MessageFilter, PageRequest
from service.domain import ids
from service.domain.deliveries import Status
from service.domain.ids import ApplicationId, EndpointId

Narrowing = Callable[[Select[Any]], Select[Any]]

_message = tables.message.c
_attempt = tables.attempt.c
_CODE_CLASSES = range(10)  # a code has three digits


def messages_wanted(
    app_id: ApplicationId, page: PageRequest, wanted: MessageFilter, narrow: Narrowing = lambda statement: statement
) -> FromClause:
    """The ids of a page of messages. `narrow` may add conditions."""
    statement = select(_message.id).where(_message.app_id == app_id, *within(_message.id, ids.MESSAGE, wanted))
    statement = narrow(labelled(statement, app_id, _message.id, wanted, page))
    if wanted.event_types is None:
        return keyset(statement, _message.id, page).subquery()
    if _labels(wanted):
        return keyset(statement.where(_message.event_type.in_(wanted.event_types)), _message.id, page).subquery()
    return merged(statement, {_message.event_type: wanted.event_types}, _message.id, page)


def attempts_wanted(
    app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
) -> FromClause:
    """The ids of a page of an endpoint's attempts."""
    statement = select(_attempt.id).where(_attempt.app_id == app_id, _attempt.endpoint_id == endpoint_id)
    statement = statement.where(*within(_attempt.id, ids.ATTEMPT, wanted))
    if _labels(wanted) or (_by_end(wanted) and wanted.event_types is not None):
        statement = labelled(statement.where(*told_by_attempt(wanted)), app_id, _attempt.message_id, wanted)
        return keyset(statement, _attempt.id, page).subquery()
    if wanted.event_types is not None:
        return merged(statement, {_attempt.event_type: wanted.event_types}, _attempt.id, page)
    ends = {_attempt.status: _statuses(wanted), _code_class(): _code_classes(wanted)}
    return merged(statement, ends, _attempt.id, page)


def narrows(wanted: MessageFilter) -> bool:
    """Whether the filter has a condition other than time."""
    named = wanted.event_types is not None or bool(_labels(wanted))
    return named or (isinstance(wanted, AttemptFilter) and _by_end(wanted))


def within(key: ColumnElement[str], prefix: str, wanted: MessageFilter) -> list[ColumnElement[bool]]:
    """The filter's time bounds, as bounds of ids."""
    conditions = []
    if wanted.before is not None:
        conditions.append(key < ids.lowest(prefix, wanted.before))
    if wanted.after is not None:
        conditions.append(key > ids.lowest(prefix, wanted.after))
    return conditions


def told_by_attempt(wanted: AttemptFilter) -> list[ColumnElement[bool]]:
    """The filter's conditions on the attempt's own row, except time."""
    conditions = []
    if wanted.status is not None:
        conditions.append(_attempt.status == wanted.status)
    if wanted.status_code_class is not None:
        conditions.append(_code_class() == wanted.status_code_class // 100)
    if wanted.endpoint_id is not None:
        conditions.append(_attempt.endpoint_id == wanted.endpoint_id)
    if wanted.event_types is not None:
        conditions.append(_attempt.event_type.in_(wanted.event_types))
    return conditions


def labelled(
    statement: Select[Any],
    app_id: ApplicationId,
    message_id: ColumnElement[str],
    wanted: MessageFilter,
    page: PageRequest | None = None,
) -> Select[Any]:
    """The statement, restricted to messages with the wanted channel and tag."""
    for name in _labels(wanted):
        label = tables.message_label.alias()
        same = label.c.message_id == message_id
        statement = statement.join(label, same).where(label.c.app_id == app_id, label.c.label == name)
        if page is not None:
            # Repeated for this column, since PostgreSQL does not transfer range conditions between equal columns.
            bounds = (*within(label.c.message_id, ids.MESSAGE, wanted), *beyond(label.c.message_id, page))
            statement = statement.where(*bounds)
    return statement


def _labels(wanted: MessageFilter) -> list[str]:
    named = (("tag", wanted.tag), ("channel", wanted.channel))
    return [f"{kind}:{name}" for kind, name in named if name is not None]


def _by_end(wanted: AttemptFilter) -> bool:
    return wanted.status is not None or wanted.status_code_class is not None


def _statuses(wanted: AttemptFilter) -> Iterable[int]:
    return (Status.SUCCESS, Status.FAIL) if wanted.status is None else (wanted.status,)


def _code_classes(wanted: AttemptFilter) -> Iterable[int]:
    return _CODE_CLASSES if wanted.status_code_class is None else (wanted.status_code_class // 100,)


def _code_class() -> ColumnElement[int]:
    # Exactly the expression of the index.
    return _attempt.response_status_code.op("/", return_type=Integer())(text("100"))
