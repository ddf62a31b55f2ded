"""Bodies of lists: a page of items, with iterators to the next and the previous page."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, Field

from service.api.schemas.rules import Shown
from service.application.ports.pages import BACKWARDS_MARK, FORWARDS_MARK, Page

Item = TypeVar("Item")
T = TypeVar("T")


class ListOut(Shown, Generic[Item]):
    """A page. `iterator` leads on, `prevIterator` leads back, `done` tells that nothing more lies that way."""

    # pydantic does not mark this for the concrete models made of this generic one.
    model_config = ConfigDict(json_schema_extra={"description": "A page of a list, and where to read on and back."})

    data: Sequence[Item]
    iterator: str | None = Field(examples=["msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    prev_iterator: str | None = Field(default=None, examples=["-msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    done: bool


def listed(page: Page[T], *, key: Callable[[T], str], show: Callable[[T], Item]) -> ListOut[Item]:
    """The page as a body. `key` gives an item's value that the list is ordered by."""
    iterator, prev_iterator = iterators(page, key)
    data = [show(item) for item in page.items]
    return ListOut(data=data, iterator=iterator, prev_iterator=prev_iterator, done=page.done)


def listed_raw(page: Page[T], *, key: Callable[[T], str], show: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """The page as a dict for orjson: for items with stored JSON that must stay unchanged."""
    iterator, prev_iterator = iterators(page, key)
    data = [show(item) for item in page.items]
    return {"data": data, "iterator": iterator, "prevIterator": prev_iterator, "done": page.done}


def iterators(page: Page[T], key: Callable[[T], str]) -> tuple[str | None, str | None]:
    """Where to read on, and where to read back; nowhere from an empty page."""
    if not page.items:
        return None, None
    last = key(page.items[-1])
    return f"{FORWARDS_MARK}{last}" if last.startswith(
        BACKWARDS_MARK
    ) else last, f"{BACKWARDS_MARK}{key(page.items[0])}"
