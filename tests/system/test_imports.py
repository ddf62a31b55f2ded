"""Files of messages sent to a real server: each line is delivered once or reported, also across kills."""

import asyncio
import gzip
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.message_files import lines
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Customer

KILLS = 3
AT_MOST = 750  # of 2,000 lines: a server has surely come so far when the last is still held back
QUIET = {"OTEL_SDK_DISABLED": "true", "RELEVO_LOG_LEVEL": "error"}
WITHIN = patient(150)  # seconds

HELD = "SELECT lines >= $1 FROM message_import WHERE status = 'running' FOR UPDATE"
FORGOTTEN = "UPDATE message_import SET lines = 0"
MESSAGES = "SELECT count(*) FROM message"
NUMBERS = "SELECT count(DISTINCT convert_from(payload, 'utf8')::json->>'id') FROM message"

pytestmark = pytest.mark.timeout(300)


async def test_of_three_thousand_lines_the_broken_ones_are_reported_and_the_rest_delivered_once_each(
    database: str, directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    broken = set(chance.sample(range(1, 3_001), 100))
    file = gzip.compress(lines(3_000, broken=broken))
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_ATTEMPT_TIMEOUT="15", **QUIET)
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/status/204")
        answer = await send(customer, file)
        refused = await refused_lines(customer, answer["id"])
        calls = await receiver.wait_for(2_900, within=WITHIN)
        await audit.until_nothing_is_owed(database, within=WITHIN)

    assert counts(answer) == {"lines": 3_000, "accepted": 2_900, "repeated": 0, "refused": 100}
    assert refused == sorted(broken)
    assert Counter(json.loads(call.body)["id"] for call in calls) == Counter(set(range(1, 3_001)) - broken)
    assert len({call.header("webhook-id") for call in calls}) == len(calls) == 2_900


async def test_a_file_that_is_sent_again_after_each_of_three_kills_is_taken_in_once(
    database: str, directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    file = lines(2_000, tags=["x" * 100, "y" * 100, "z" * 100])
    environ = settings(RELEVO_DATABASE_URL=database, **QUIET)
    server = RelevoProcess("serve", environ, directory / "log")
    taken = []

    async with running(server):
        customer = await senders.prepare(environ, receiver.url)
        await delete_endpoints(customer)
        for _ in range(KILLS):
            async with an_upload_without_its_end(customer, file), held_at(database, chance.randint(1, AT_MOST)):
                await asyncio.sleep(chance.uniform(0, 0.02))
                await server.kill()
            taken.append(await messages(database))
            await audit.ask(database, FORGOTTEN)
            await server.start()
        answer = await send(customer, file)

    assert all(0 < count < 2_000 for count in taken), "each kill was midway"
    assert counts(answer) == {"lines": 2_000, "accepted": 2_000 - taken[-1], "repeated": taken[-1], "refused": 0}
    assert await messages(database) == await audit.ask(database, NUMBERS) == 2_000


async def send(customer: Customer, file: bytes) -> dict[str, Any]:
    """The answer to the file, which comes when it is through."""
    async with asking(customer) as client:
        answer = await client.post("", content=file)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@asynccontextmanager
async def an_upload_without_its_end(customer: Customer, file: bytes) -> AsyncIterator[None]:
    """All of the file but its last byte is sent while the block lasts, so that no server can have finished with it."""

    async def all_but_the_end() -> AsyncIterator[bytes]:
        yield file[:-1]
        await asyncio.Event().wait()

    async def sending() -> None:
        async with asking(customer) as client:
            await client.post("", content=all_but_the_end())

    task = asyncio.create_task(sending())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def held_at(url: str, count: int) -> AsyncIterator[None]:
    """From when the import has come so far; no progress of it is kept while the block lasts."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        async with asyncio.timeout(WITHIN):
            await connection.execute("BEGIN")
            while not await connection.fetchval(HELD, count):
                await connection.execute("ROLLBACK")
                await asyncio.sleep(0.01)
                await connection.execute("BEGIN")
        yield
    finally:
        await connection.close()


async def refused_lines(customer: Customer, import_id: str) -> list[int]:
    async with asking(customer) as client:
        page = (await client.get(f"/{import_id}/fault", params={"limit": 250})).json()
    assert page["done"]
    return [fault["line"] for fault in page["data"]]


async def messages(url: str) -> int:
    found = await audit.ask(url, MESSAGES)
    assert isinstance(found, int)
    return found


async def delete_endpoints(customer: Customer) -> None:
    """What is accepted is owed to nobody."""
    async with senders.opened(customer.url, customer.token) as sdk:
        for endpoint in (await sdk.endpoint.list(customer.app_id)).data:
            await sdk.endpoint.delete(customer.app_id, endpoint.id)


@asynccontextmanager
async def asking(customer: Customer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the imports of the application, for one file."""
    async with httpx.AsyncClient(
        base_url=f"{customer.url}/api/v1/app/{customer.app_id}/msg/import",
        headers={"authorization": f"Bearer {customer.token}"},
        params={"file_id": "january"},
        timeout=WITHIN,
        trust_env=False,
    ) as client:
        yield client


def counts(answer: dict[str, Any]) -> dict[str, int]:
    return {name: answer[name] for name in ("lines", "accepted", "repeated", "refused")}
