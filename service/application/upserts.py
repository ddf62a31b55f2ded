"""Update or create, safe against concurrent requests that create or delete the same."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.domain.errors import Conflict

MAX_TRIES = 10  # in case other requests keep creating and deleting it between our steps

T = TypeVar("T")


async def upserted(
    find: Callable[[], Awaitable[T | None]],
    *,
    change: Callable[[T], Awaitable[T]],
    create: Callable[[], Awaitable[T]],
    is_the_same: bool = True,
) -> tuple[T, bool]:
    """Change what `find` returns, or create it; returns the result and whether it was created. `find` locks the row.

    Raises Conflict when something else has the uid: unless `is_the_same`, `create` makes another thing than `find`
    finds.
    """
    for _ in range(MAX_TRIES if is_the_same else 1):
        known = await find()
        if known is not None:
            return await change(known), False
        try:
            return await create(), True
        except Conflict as error:
            # A concurrent request may have just created the same.
            refused = error
    raise refused
