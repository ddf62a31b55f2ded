"""A time limit that costs nothing where there is nothing to wait for."""

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`. TimeoutError when it takes longer. The clock is set only if it waits for something at all:
    most bodies are there with their head, and a timer costs more than reading them."""
    try:
        wanted = work.send(None)
    except StopIteration as returned:
        result: Result = returned.value
        return result
    async with asyncio.timeout(seconds):
        return await _Begun(work, wanted)


class _Begun(Generic[Result]):
    """A coroutine that waits for something `wanted` already: awaits that first, and then its end."""

    def __init__(self, work: Coroutine[Any, Any, Result], wanted: object) -> None:
        self._work = work
        self._wanted = wanted

    def __await__(self) -> Generator[Any, Any, Result]:
        while True:
            try:
                given = yield self._wanted
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, say; it belongs to the work
                step = partial(self._work.throw, thrown)
            else:
                step = partial(self._work.send, given)
            try:
                self._wanted = step()
            except StopIteration as returned:
                result: Result = returned.value
                return result
