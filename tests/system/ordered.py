"""Ordered destinations of real processes: added past the API, and judged by what their receiver was sent."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from service.adapters.machine.clock import new_id
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import dsn, open_database
from service.domain import ids
from service.domain.ids import ApplicationId, DestinationId
from service.domain.ordered import OrderedDestination
from service.domain.sinks import FifoSink
from tests.support.factories import ORG, SECRET
from tests.support.processes import SECRET as KEY
from tests.support.receiver import Receiver

HEAD = "SELECT head FROM stream WHERE app_id = $1"
BEHIND = "SELECT position < $2 FROM destination WHERE id = $1"
STREAM = """
    SELECT message_id FROM stream_message m JOIN destination d ON d.app_id = m.app_id AND m.position <= d.position
    WHERE d.id = $1 ORDER BY m.position
"""
POLL = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a destination was sent, message by message, and what it should have been sent so far."""

    messages: list[str]
    stream: list[str]

    @property
    def in_order(self) -> bool:
        """Whether each message of the stream came, for the first time, after the one before it. What has come since is
        no part of it."""
        return list(dict.fromkeys(self.messages))[: len(self.stream)] == self.stream

    @property
    def repeats(self) -> int:
        """Messages that came again."""
        return len(self.messages) - len(set(self.messages))


async def add_destination(url: str, app_id: str, receiver_url: str, *, batch_size: int) -> OrderedDestination:
    """A destination of the application from now on, in the database at `url`."""
    now = datetime.now(UTC)
    async with open_database(url) as database, open_unit_of_work(database.sessions, AesVault([KEY])) as work:
        application = ApplicationId(app_id)
        destination = OrderedDestination(
            id=DestinationId(new_id(ids.DESTINATION)),
            org_id=ORG,
            app_id=application,
            sink=FifoSink(url=receiver_url),
            batch_size=batch_size,
            created_at=now,
            updated_at=now,
            due_at=now,
            position=await work.destinations.position_at(application),
        )
        await work.destinations.add(destination, [SECRET])
    return destination


async def until_caught_up(url: str, destination: OrderedDestination, *, within: float) -> None:
    """Until everything is done that is in the stream now."""
    ((head,),) = await _fetch(url, HEAD, destination.app_id)
    async with asyncio.timeout(within):
        while await _fetch(url, BEHIND, destination.id, head) != [(False,)]:  # noqa: ASYNC110  # another process's doing
            await asyncio.sleep(POLL)


async def received(url: str, destination: OrderedDestination, receiver: Receiver, path: str) -> Received:
    """What came to that path, against the stream in the database."""
    stream = [str(message_id) for (message_id,) in await _fetch(url, STREAM, destination.id)]
    calls = receiver.at(path)
    for call in calls:
        call.verify(SECRET.text)
    return Received(messages=[message["id"] for call in calls for message in json.loads(call.body)], stream=stream)


async def _fetch(url: str, query: str, *arguments: object) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn(url))
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()
