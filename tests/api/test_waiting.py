"""A limit of time for what may have to be waited for, and may not."""

import asyncio
from contextlib import suppress

import pytest

from service.api.protocol.waiting import within


async def at_once() -> int:
    return 7


async def when(event: asyncio.Event) -> int:
    for _ in range(2):
        await event.wait()
        event.clear()
    return 7


async def never(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        ended.append(type(error).__name__)
        raise


async def failing() -> None:
    raise KeyError("an error of the work")


async def test_what_is_there_at_once_sets_no_clock() -> None:
    assert await within(-1, at_once()) == 7


async def test_what_is_waited_for_in_time_is_there() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(within(60, when(event)))

    for _ in range(2):
        await asyncio.sleep(0)
        event.set()

    assert await waiting == 7


async def test_what_takes_too_long_is_ended() -> None:
    ended: list[str] = []

    with pytest.raises(TimeoutError):
        await within(0.01, never(ended))

    assert ended == ["CancelledError"]


async def test_a_cancellation_reaches_what_is_waited_for() -> None:
    ended: list[str] = []
    waiting = asyncio.create_task(within(60, never(ended)))
    await asyncio.sleep(0)

    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting

    assert waiting.cancelled()
    assert ended == ["CancelledError"]


async def test_an_error_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError):
        await within(60, failing())
