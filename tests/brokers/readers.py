"""Servers that read sources, a client of their API, and what the database has of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from httpx import AsyncClient

from service.adapters.access.tokens import Tokens
from service.domain.ids import OrgId
from tests.support.broker_feeds import Feed
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import SECRET, RelevoProcess, asking, running, settings

WITHIN = patient(60)
POLL_S = 0.1


class Readers:
    """Running servers that share a database, asked as the admin of an organisation with the application `shop`."""

    def __init__(self, processes: Sequence[RelevoProcess], logs: Sequence[Path], url: str) -> None:
        self.processes = processes
        self._logs = logs
        self._dsn = asyncpg_dsn(url)

    def client(self) -> AsyncClient:
        """A client of the first server."""
        token = Tokens(SECRET).mint(OrgId(ORG), now=datetime.now(UTC))
        port = self.processes[0].environ["RELEVO_PORT"]
        return asking(f"http://127.0.0.1:{port}/api/v1", authorization=f"Bearer {token}")

    async def source(self, feed: Feed, **changed: Any) -> str:
        """Create the feed's source; its id."""
        body = {"name": "events", feed.kind: feed.broker} | changed
        async with self.client() as client:
            answer = await client.post("/source", json=body)
            assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def state(self, source: str, expected: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The source's state, once it is as expected."""
        async with asyncio.timeout(WITHIN), self.client() as client:
            while True:
                answer = await client.get(f"/source/{source}")
                # The first one after the database was away may find a connection that is gone.
                if answer.status_code == 200 and expected(answer.json()["state"]):
                    state: dict[str, Any] = answer.json()["state"]
                    return state
                await asyncio.sleep(POLL_S)

    async def faults(self, source: str, *, count: int) -> list[dict[str, Any]]:
        """The source's faults, once there are so many."""
        async with asyncio.timeout(WITHIN), self.client() as client:
            while True:
                found: list[dict[str, Any]] = (await client.get(f"/source/{source}/fault")).json()["data"]
                if len(found) >= count:
                    return found
                await asyncio.sleep(POLL_S)

    async def messages(self) -> list[asyncpg.Record]:
        """Everything that was accepted."""
        return await self.ask("SELECT event_id, event_type, payload, traceparent FROM message ORDER BY id")

    async def ask(self, statement: str) -> list[asyncpg.Record]:
        """The rows of a statement."""
        connection = await asyncpg.connect(self._dsn)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    async def until_accepted(self, count: int, *, within: float = WITHIN) -> None:
        """Wait until so many messages are kept."""
        async with asyncio.timeout(within):
            # PostgreSQL waits between two looks.
            while (await self.ask("SELECT count(*) FROM message, pg_sleep(0.1)"))[0][0] < count:
                pass

    async def until_received(self, number: int, count: int) -> None:
        """Wait until that server has accepted so many messages, in all of its lives."""
        async with asyncio.timeout(WITHIN):
            while self.received("accepted", number) < count:  # noqa: ASYNC110  # another process's doing
                await asyncio.sleep(POLL_S)

    def received(self, outcome: str, *numbers: int) -> int:
        """How many messages these servers, or all, say they received with that outcome. One that was killed may not
        have said all of it."""
        asked = [self.processes[number] for number in numbers] or self.processes
        lines = [line for process in asked for line in process.events("source.received")]
        return sum(int(str(line.get(outcome, 0))) for line in lines)

    def log(self) -> str:
        """Everything that the servers have logged."""
        return "".join(log.read_text() for log in self._logs)


@asynccontextmanager
async def open_readers(
    database: str, directory: Path, *, count: int, late: int = 0, url: str | None = None, **others: str
) -> AsyncIterator[Readers]:
    """So many servers, while the block lasts; the last `late` of them are not started. They reach the database by
    `url`, if that is another; `others` are settings that they have."""
    logs = [directory / f"server-{number}.log" for number in range(count)]
    processes = [RelevoProcess("serve", settings(RELEVO_DATABASE_URL=url or database, **others), log) for log in logs]
    async with AsyncExitStack() as stack:
        for process in processes:
            stack.push_async_callback(process.close)
        await stack.enter_async_context(running(*processes[: count - late]))
        readers = Readers(processes, logs, database)
        async with readers.client() as client:
            await client.post("/app", json={"name": "the shop", "uid": "shop"})
        yield readers
