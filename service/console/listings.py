"""A page of a list on a page: its items, and the links to what is before and after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from service.api.schemas.pages import iterators
from service.application.ports.pages import Page, PageRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """Items in their order. `before` and `after` are the query strings of the neighbouring pages, None without one."""

    items: Sequence[T]
    before: str | None
    after: str | None


def listing(found: Page[T], asked: PageRequest, query: QueryParams, *, key: Callable[[T], str]) -> Listing[T]:
    """The page that was found for `asked`; the links keep the filters of the query."""
    onwards, back = iterators(found, key)
    is_first = asked.after is None
    if asked.backwards:
        before, after = None if found.done else back, onwards
    else:
        before, after = None if is_first else back, None if found.done else onwards
    return Listing(items=found.items, before=_query(query, before), after=_query(query, after))


def kept_filters(query: QueryParams) -> str:
    """The query string with the filters of this one, without a place in the list; empty without any."""
    kept = _filters(query)
    return f"?{urlencode(kept)}" if kept else ""


def _query(query: QueryParams, iterator: str | None) -> str | None:
    return None if iterator is None else "?" + urlencode([*_filters(query), ("iterator", iterator)])


def _filters(query: QueryParams) -> list[tuple[str, str]]:
    return [(name, value) for name, value in query.multi_items() if name not in {"iterator", "done"} and value]
