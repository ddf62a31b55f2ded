"""No test may hang. How long each may take, by its own mark or as usual, is for a quiet machine.

A coroutine is cancelled, so that it ends what it has begun. What does not end by that (a fixture, a call that blocks)
ends with its process, which xdist tells as a failure before it starts another. The method that pytest-timeout has by
default, an exception out of a signal, is lost in some task or stops a loop whose fixtures are then waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from inspect import iscoroutinefunction

import pytest

from tests.support.patience import patient

USUALLY_WITHIN = 120.0  # seconds
TO_CLEAR_UP = 15.0

Test = Callable[..., Awaitable[None]]


def bound(items: Iterable[pytest.Item]) -> None:
    """See to it that each of them ends."""
    for item in items:
        own = item.get_closest_marker("timeout")
        seconds = patient(own.args[0] if own else USUALLY_WITHIN)
        if isinstance(item, pytest.Function) and iscoroutinefunction(item.obj):
            item.obj = _cancelled_after(seconds, item.obj)
        item.add_marker(pytest.mark.timeout(seconds + patient(TO_CLEAR_UP), method="thread"), append=False)


def _cancelled_after(seconds: float, test: Test) -> Test:
    @wraps(test)
    async def bounded(**arguments: object) -> None:
        async with asyncio.timeout(seconds):
            await test(**arguments)

    return bounded
