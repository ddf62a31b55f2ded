"""Keyset pagination: a page costs an index probe and its rows, however long the list is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ARRAY, ColumnElement, FromClause, Row, Select, cast, func, select, tuple_

from service.application.ports.pages import MAX_PAGE_BYTES, Page, PageRequest

T = TypeVar("T")

_BEFORE, _CANDIDATES = "bytes_before", "candidates"
BEFORE_ALL, AFTER_ALL = "", "~"  # no key is either


def keyset(statement: Select[Any], key: ColumnElement[str], page: PageRequest) -> Select[Any]:
    """The statement for one page by `key`, with one row more to find out whether items follow."""
    return statement.where(*beyond(key, page)).order_by(_ordered_by(key, page)).limit(page.limit + 1)


def within_bytes(
    statement: Select[Any], size: Callable[[FromClause], ColumnElement[int]], key: str, page: PageRequest
) -> Select[Any]:
    """The statement of `keyset`, cut where its rows exceed MAX_PAGE_BYTES; at least one row is returned.

    `size` is the expression of a row's bytes. PostgreSQL knows the length of a value without reading it, and reads the
    values of returned rows only.
    """
    rows = statement.subquery()
    order = _ordered_by(rows.c[key], page)
    weighed = select(
        rows,
        (func.sum(size(rows)).over(order_by=order) - size(rows)).label(_BEFORE),
        func.count().over().label(_CANDIDATES),
    ).subquery()
    return select(weighed).where(weighed.c[_BEFORE] < MAX_PAGE_BYTES).order_by(_ordered_by(weighed.c[key], page))


def beyond(key: ColumnElement[str], page: PageRequest) -> list[ColumnElement[bool]]:
    """The condition for rows after the last item seen."""
    if page.after is None:
        return []
    return [key > page.after if _is_ascending(page) else key < page.after]


def merged(
    statement: Select[Any],
    wanted: Mapping[ColumnElement[Any], Iterable[Any] | Select[Any]],
    key: ColumnElement[str],
    page: PageRequest,
) -> FromClause:
    """A page by `key` of rows that have one of the wanted values in each column, merged. Selects the key alone. Values
    may be those that a statement selects.

    Each combination of values is read by an index on these columns and the key. Bounds and order include the columns:
    with an equality alone PostgreSQL may choose another index by the key and filter, which reads far more rows.
    """
    values = [_each(column, options) for column, options in wanted.items()]
    columns, found = (*wanted, key), [value.c[0] for value in values]
    statement = statement.where(
        tuple_(*columns) > tuple_(*found, BEFORE_ALL), tuple_(*columns) < tuple_(*found, AFTER_ALL), *beyond(key, page)
    )
    ordered = statement.order_by(*(_ordered_by(column, page) for column in columns))
    each = ordered.limit(page.limit + 1).correlate(*values).lateral()
    return select(each.c.id).select_from(*values, each).subquery()


def page_of(rows: Sequence[Row[Any]], page: PageRequest, make: Callable[[Row[Any]], T]) -> Page[T]:
    """The page, in display order whichever direction it was read in."""
    items = [make(row) for row in rows[: page.limit]]
    if page.backwards:
        items.reverse()
    there = getattr(rows[0], _CANDIDATES, len(rows)) if rows else 0
    return Page(items=items, done=there <= len(items))


def _each(column: ColumnElement[Any], options: Iterable[Any] | Select[Any]) -> FromClause:
    if isinstance(options, Select):
        return options.subquery()
    values = cast(list(dict.fromkeys(options)), ARRAY(column.type))
    return func.unnest(values).table_valued("value").render_derived()


def _ordered_by(column: ColumnElement[Any], page: PageRequest) -> ColumnElement[Any]:
    return column.asc() if _is_ascending(page) else column.desc()


def _is_ascending(page: PageRequest) -> bool:
    return page.ascending != page.backwards
