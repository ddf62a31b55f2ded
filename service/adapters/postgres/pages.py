"""Keyset pagination: every page costs an index probe and its rows, however long the list is."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select

from service.application.ports.lists import Page, PageRequest

T = TypeVar("T")


def keyset(statement: Select[Any], key: ColumnElement[str], page: PageRequest) -> Select[Any]:
    """The statement for one page by `key`, and one row more to learn whether anything follows."""
    order = key.asc() if _upwards(page) else key.desc()
    return statement.where(*beyond(key, page)).order_by(order).limit(page.limit + 1)


def beyond(key: ColumnElement[str], page: PageRequest) -> list[ColumnElement[bool]]:
    """What follows the last item seen."""
    if page.after is None:
        return []
    return [key > page.after if _upwards(page) else key < page.after]


def page_of(rows: Sequence[Row[Any]], page: PageRequest, make: Callable[[Row[Any]], T]) -> Page[T]:
    """The page, in display order whichever way it was read."""
    items = [make(row) for row in rows[: page.limit]]
    if page.backwards:
        items.reverse()
    return Page(items=items, done=len(rows) <= page.limit)


def _upwards(page: PageRequest) -> bool:
    return page.ascending != page.backwards
