"""Loops that last as long as the process end by nothing but its end: each of them, whatever fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from service.delivery.ordered import OrderedReader
from service.delivery.tasks import TaskRunner
from service.sources.reading import SourceReading
from tests.support.patience import patient


class Queue:
    """A queue of which the first two looks fail as nobody foresaw, and that is empty after that."""

    def __init__(self) -> None:
        self.looks = 0
        self.looked_again = asyncio.Event()

    async def claim(self, *_: object, **__: object) -> Any:
        self.looks += 1
        if self.looks <= 2:
            raise ValueError
        self.looked_again.set()

    async def wait(self) -> None:
        await asyncio.Event().wait()


class NoClaims(Queue):
    async def claim(self, *_: object, **__: object) -> Any:
        await super().claim()
        return []


@asynccontextmanager
async def reader(queue: Queue) -> AsyncIterator["asyncio.Task[None]"]:
    nothing = cast(Any, None)
    made = OrderedReader(
        queue=cast(Any, queue), batches=nothing, clock=nothing, lease=timedelta(seconds=1), drain=timedelta(seconds=1)
    )
    async with made.running() as loop:
        yield loop


@asynccontextmanager
async def runner(queue: Queue) -> AsyncIterator["asyncio.Task[None]"]:
    nothing = cast(Any, None)
    made = TaskRunner(queue=cast(Any, queue), open_work=nothing, steps={}, clock=nothing, telemetry=nothing)
    async with made.running() as loop:
        yield loop


class Ledger(Queue):
    async def enabled(self) -> Any:
        await self.claim()
        return []

    async def changed(self) -> None:
        await self.wait()


@asynccontextmanager
async def sources(queue: Queue) -> AsyncIterator["asyncio.Task[None]"]:
    nothing = cast(Any, None)
    made = SourceReading(
        ledger=cast(Any, queue),
        consumers={},
        submissions=nothing,
        telemetry=nothing,
        clock=nothing,
        new_id=nothing,
        name="one",
    )
    async with made.running() as loop:
        yield loop


@pytest.mark.parametrize(("opened", "queue"), [(reader, NoClaims), (runner, Queue), (sources, Ledger)])
async def test_an_error_that_nobody_foresaw_ends_no_loop(opened: Any, queue: type[Queue]) -> None:
    looked = queue()
    async with opened(looked) as loop:
        await asyncio.wait_for(looked.looked_again.wait(), patient(5))
        assert not loop.done()
    assert loop.done()
