"""Waiting for what no signal tells of."""

import asyncio
from collections.abc import Callable

INTERVAL_S = 0.02


async def eventually(holds: Callable[[], object], *, within: float) -> None:
    """Wait until it holds. TimeoutError when it does not `within` so many seconds."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(INTERVAL_S)
