"""Replacing what is there or else creating it, while others do the same or take it away."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.domain.errors import Conflict

TURNS = 10  # of somebody else who creates and removes it between our looking and our creating

T = TypeVar("T")


async def upserted(
    find: Callable[[], Awaitable[T | None]],
    *,
    change: Callable[[T], Awaitable[T]],
    create: Callable[[], Awaitable[T]],
    is_the_same: bool = True,
) -> tuple[T, bool]:
    """The thing as it is then, and whether it was created. `find` locks what it finds.

    Conflict when something else stands in the way: unless `is_the_same`, what is created is not what is looked for.
    """
    for _ in range(TURNS if is_the_same else 1):
        known = await find()
        if known is not None:
            return await change(known), False
        try:
            return await create(), True
        except Conflict as error:
            # It may have been created a moment ago, by somebody who asked for the same.
            refused = error
    raise refused
