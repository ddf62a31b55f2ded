"""How faults are called, and how one waits for what they do to show."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tests.faults.site import Fault

LOOK_EVERY = 0.2  # seconds
SHOWS_WITHIN = 40.0


def by_name(*faults: Fault) -> Mapping[str, Fault]:
    """Each fault under its function's name."""
    return {fault.__name__.replace("_", "-"): fault for fault in faults}


async def shown(look: Callable[[], Awaitable[int]]) -> int:
    """What `look` says as soon as it is not nothing; 0 if it stays that."""
    for _ in range(round(SHOWS_WITHIN / LOOK_EVERY)):
        if seen := await look():
            return seen
        await asyncio.sleep(LOOK_EVERY)
    return 0
