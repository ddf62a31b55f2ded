"""What is over one of several databases: opened when the database answers, closed when the process leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from service.domain.errors import Unavailable
from service.runtime.databases import KeptOpen, all_kept_open
from tests.support.patience import patient


@dataclass
class Database:
    """Fails as often as it was told, by the exceptions that are left."""

    failures: list[Exception] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        if self.failures:
            raise self.failures.pop(0)
        task = asyncio.current_task()
        self.entries.append("opened")
        self.opened.set()
        yield "what is open"
        assert asyncio.current_task() is task
        self.entries.append("closed")


async def test_it_is_open_from_the_start_and_closed_at_the_end() -> None:
    database = Database()
    kept = KeptOpen("eu-1", database.open)

    async with all_kept_open(kept):
        found = kept()

    assert found == "what is open"
    assert database.entries == ["opened", "closed"]


@pytest.mark.parametrize("failure", [Unavailable(), LookupError()], ids=["away", "at fault"])
async def test_one_that_fails_is_told_of_and_opened_later_while_another_serves(failure: Exception) -> None:
    reasons: list[str] = []
    away, other = Database([failure]), Database()
    kept = KeptOpen("eu-1", away.open, failed=reasons.append)
    served = KeptOpen("eu-2", other.open)

    async with all_kept_open(kept, served):
        with pytest.raises(Unavailable):
            kept()
        assert (kept.is_open, served()) == (False, "what is open")
        async with asyncio.timeout(patient(10)):
            await away.opened.wait()
        assert kept.is_open

    assert reasons == [type(failure).__name__]
    assert away.entries == other.entries == ["opened", "closed"]


async def test_a_process_leaves_though_one_is_still_being_opened() -> None:
    begun = asyncio.Event()

    @asynccontextmanager
    async def open_never() -> AsyncIterator[None]:
        begun.set()
        await asyncio.Event().wait()
        yield

    async with asyncio.timeout(patient(5)):
        with pytest.raises(asyncio.CancelledError):
            await _left_at_once(begun, KeptOpen("eu-1", open_never))


async def _left_at_once(begun: asyncio.Event, kept: KeptOpen[None]) -> None:
    async def serve() -> None:
        async with all_kept_open(kept):
            pass

    serving = asyncio.create_task(serve())
    await begun.wait()
    serving.cancel()
    await serving
