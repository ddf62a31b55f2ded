"""One application with a destination of each kind that is read in order, who writes to it, and what came to each."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import asyncpg
import httpx
from pydantic.alias_generators import to_camel
from svix.api import SvixAsync

from deploy.brokers.together import Brokers
from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from service.adapters.postgres.queue.intake import accepting
from service.domain.sinks import PushedSink
from tests.support.batch_programs import KafkaStand, kafka_stand, nats_stand, rabbitmq_stand
from tests.support.factories import new_message
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import SECRET, RelevoProcess, asking
from tests.support.receiver import Receiver
from tests.system import senders
from tests.system.senders import Promises

BATCH = 20
POLL_LIMIT = 50
AGAIN_AFTER_S = 0.1
NAME = "order"
PATH = "/ok"
POLLED, FIFO, RABBITMQ, KAFKA, NATS = "pollingEndpoint", "fifoEndpoint", "rabbitMq", "kafka", "nats"

# A row for each message, in the order of the commits as PostgreSQL itself noted it.
STREAM = """
    SELECT position, message_id, event_id, pg_xact_commit_timestamp(s.xmin) AS committed_at
    FROM stream_message s JOIN message m ON m.id = s.message_id WHERE s.app_id = $1 ORDER BY position
"""
BEHIND = """
    SELECT count(*) FROM destination d JOIN stream s USING (app_id)
    WHERE d.app_id = $1 AND d.kind <> 'pollingEndpoint' AND d.position < s.head
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The application, the servers it is at, and its destinations."""

    servers: Sequence[RelevoProcess]
    dsn: str
    brokers: Brokers
    receiver: Receiver
    app_id: str
    polled: list[str] = field(default_factory=list)
    written: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, statement: str) -> list[asyncpg.Record]:
        """The rows of a statement about the application."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, self.app_id)
            return rows
        finally:
            await connection.close()

    async def until_caught_up(self, *, within: float) -> None:
        """Until every destination that is sent batches has everything."""
        async with asyncio.timeout(within):
            while (await self.ask(BEHIND))[0][0]:  # noqa: ASYNC110  # other processes' doing
                await asyncio.sleep(AGAIN_AFTER_S)

    async def came(self) -> Mapping[str, list[str]]:
        """The ids of the messages that came to each kind, in their order, repeats among them."""
        batches = [json.loads(call.body) for call in self.receiver.at(PATH)]
        async with rabbitmq_stand(self.brokers, NAME) as rabbitmq, nats_stand(self.brokers, NAME) as nats:
            found = {
                RABBITMQ: await rabbitmq.arrived(),
                KAFKA: await KafkaStand(self.brokers, NAME).arrived(),
                NATS: await nats.arrived(),
            }
        return {
            POLLED: self.polled,
            FIFO: [message["id"] for batch in batches for message in batch],
            **{kind: [message_id for message_id, _ in arrived] for kind, arrived in found.items()},
        }

    def failed_batches(self, kind: str) -> int:
        """How many batches to that kind did not go well, by what the servers have logged."""
        lines = [line for server in self.servers for line in server.events("batch.sent")]
        return sum(line["kind"] == kind and line["outcome"] != "sent" for line in lines)


@asynccontextmanager
async def open_lines(
    servers: Sequence[RelevoProcess], database: str, brokers: Brokers, receiver: Receiver
) -> AsyncIterator[Lines]:
    """An application of running servers with its destinations, one of which is polled from then on. The block has to
    set `written` when nothing more is written; its end waits for the last poll."""
    async with AsyncExitStack() as stack, client(servers[0]) as asked:
        sinks: dict[str, PushedSink] = {
            RABBITMQ: (await stack.enter_async_context(rabbitmq_stand(brokers, NAME))).taking(),
            KAFKA: (await stack.enter_async_context(kafka_stand(brokers, NAME))).taking(),
            NATS: (await stack.enter_async_context(nats_stand(brokers, NAME))).taking(),
        }
        app = await _made(asked, "/app", {"name": "in order"})
        lines = Lines(servers=servers, dsn=asyncpg_dsn(database), brokers=brokers, receiver=receiver, app_id=app["id"])
        path = f"/app/{lines.app_id}/destination"
        for kind, config in {FIFO: {"url": f"{receiver.url}{PATH}"}, **_configs(sinks)}.items():
            await _made(asked, path, {"type": kind, "batchSize": BATCH, "config": config})
        polled = await _made(asked, path, {"type": POLLED})
        # Their connections would not outlive the brokers.
        await stack.aclose()
        async with asyncio.TaskGroup() as group:
            group.create_task(_poll(lines, f"/app/{lines.app_id}/poller/{polled['id']}/consumer/one"))
            yield lines


def client(server: RelevoProcess) -> httpx.AsyncClient:
    """A client of a server's API."""
    port = server.environ["RELEVO_PORT"]
    return asking(f"http://127.0.0.1:{port}/api/v1", authorization=f"Bearer {_token()}")


async def write(lines: Lines, numbers: Iterable[int], promises: Promises, chance: Random, *, writers: int) -> None:
    """Have these messages accepted: by `writers` clients of the servers, and by some transactions that take long."""
    shared = iter(numbers)
    async with AsyncExitStack() as stack:
        sdks = [
            await stack.enter_async_context(
                senders.opened(f"http://127.0.0.1:{server.environ['RELEVO_PORT']}", _token())
            )
            for server in lines.servers
        ]
        async with asyncio.TaskGroup() as group:
            for _ in range(max(2, writers // 5)):
                group.create_task(_write_slowly(lines, shared, promises, chance))
            for number in range(writers):
                group.create_task(_write(sdks[number % len(sdks)], lines.app_id, shared, promises))


async def _write(sdk: SvixAsync, app_id: str, numbers: Iterator[int], promises: Promises) -> None:
    for number in numbers:
        await senders.send(sdk, app_id, number, promises)


async def _write_slowly(lines: Lines, numbers: Iterator[int], promises: Promises, chance: Random) -> None:
    """Accepts as a server makes them, within transactions of ours, again and again until one is known to be there."""
    for number in numbers:
        event_id = f"slow-{number}"
        while True:
            try:
                if await _accepted_slowly(lines, event_id, chance):
                    break
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                await asyncio.sleep(AGAIN_AFTER_S)
        await promises.keep(event_id, event_id)


async def _accepted_slowly(lines: Lines, event_id: str, chance: Random) -> bool:
    """Make a message, wait, accept it, wait, and then commit or, in one case of four, roll back."""
    message = new_message(lines.app_id, org_id=DEFAULT_ORGANISATION, event_id=event_id)
    is_undone = chance.random() < 0.25
    connection = await asyncpg.connect(lines.dsn)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT pg_current_xact_id()")
        await connection.execute("SELECT pg_sleep($1)", chance.uniform(0, 0.4))
        await connection.fetch(*accepting([message]))
        await connection.execute("SELECT pg_sleep($1)", chance.uniform(0, 0.1))
        await (transaction.rollback() if is_undone else transaction.commit())
    finally:
        connection.terminate()
    return not is_undone


async def _poll(lines: Lines, path: str) -> None:
    """Poll from one server or the other, until everything is written and a poll after that finds nothing more."""
    iterator, turn = None, 0
    while True:
        is_written, turn = lines.written.is_set(), turn + 1
        page = await _polled(lines.servers[turn % len(lines.servers)], path, iterator)
        if page is None:
            await asyncio.sleep(AGAIN_AFTER_S)
            continue
        lines.polled.extend(message["id"] for message in page["data"])
        iterator = page["iterator"]
        if page["done"]:
            if is_written:
                return
            await asyncio.sleep(AGAIN_AFTER_S)


async def _polled(server: RelevoProcess, path: str, iterator: str | None) -> dict[str, Any] | None:
    asked = {"limit": str(POLL_LIMIT)} | ({} if iterator is None else {"iterator": iterator})
    try:
        async with client(server) as asking_server:
            answer = await asking_server.get(path, params=asked)
    except httpx.TransportError:
        return None
    page: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
    return page


async def _made(asked: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    answer = await asked.post(path, json=body, timeout=patient(30))
    assert answer.is_success, answer.text
    made: dict[str, Any] = answer.json()
    return made


def _configs(sinks: Mapping[str, PushedSink]) -> dict[str, dict[str, Any]]:
    """What the API is told of them."""
    return {
        kind: {to_camel(name): value for name, value in asdict(sink).items() if value} for kind, sink in sinks.items()
    }


def _token() -> str:
    return Tokens(SECRET).mint(DEFAULT_ORGANISATION, now=datetime.now(UTC))
