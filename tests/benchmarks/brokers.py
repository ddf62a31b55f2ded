"""NATS and Kafka beside the benchmarks, where their programs are built: what an ordered destination appended there, and
a stream for a source to read."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
from nats.js.errors import NotFoundError

from deploy.brokers import programs
from deploy.brokers.together import Brokers, Ports, running_brokers
from deploy.stack.programs import Program, is_built
from service.domain.broker_messages import EVENT_ID
from service.domain.sinks import PushedSink
from tests.benchmarks.database import token
from tests.benchmarks.processes import Process
from tests.support.batch_programs import KafkaStand, kafka_stand, nats_stand
from tests.support.broker_feeds import NatsFeed, Produced, nats_feed

PROGRAMS: Mapping[str, Program] = {"nats": programs.NATS, "kafka": programs.KAFKA}
PATIENCE = 120.0
POLL = 0.1
_NAME = "bench"


def why_missing(name: str) -> str | None:
    """Why this broker cannot be started here, if so. It is not built for a benchmark: that takes minutes."""
    if not is_built(PROGRAMS[name]):
        return f"{name} is not built; `make brokers` builds it"
    return "there is no java to run kafka with" if name == "kafka" and shutil.which("java") is None else None


@contextmanager
def running(name: str) -> Iterator[Brokers]:
    """That broker alone, while the block lasts."""
    with (
        tempfile.TemporaryDirectory(prefix="relevo-bench-broker-") as directory,
        running_brokers(Path(directory), Ports.free(), only=[name]) as brokers,
    ):
        yield brokers


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as the broker has it: Relevo's id, the payload, and the broker's own time in seconds."""

    id: str
    payload: bytes
    at: float


class Line(Protocol):
    """A topic or stream that an ordered destination appends to."""

    def sink(self) -> PushedSink:
        """Make it, and say how it is reached."""

    def arrived(self, *, after: int) -> list[Arrival]:
        """What it has, without the first ones."""


class KafkaLine:
    """A topic of one partition."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def sink(self) -> PushedSink:
        """See `Line`."""

        async def made() -> PushedSink:
            async with kafka_stand(self._brokers, _NAME) as stand:
                return stand.taking()

        return asyncio.run(made())

    def arrived(self, *, after: int) -> list[Arrival]:
        """See `Line`."""
        records = asyncio.run(KafkaStand(self._brokers, _NAME).records(after=after))
        return [
            Arrival(dict(each.headers)["relevo-message-id"].decode(), each.value, each.timestamp / 1000)
            for each in records
        ]


class NatsLine:
    """A stream of JetStream."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def sink(self) -> PushedSink:
        """See `Line`."""

        async def made() -> PushedSink:
            async with nats_stand(self._brokers, _NAME) as stand:
                return stand.taking()

        return asyncio.run(made())

    def arrived(self, *, after: int) -> list[Arrival]:
        """See `Line`."""

        async def found() -> list[Arrival]:
            async with nats_stand(self._brokers, _NAME) as stand:
                return [
                    Arrival(each.headers["Nats-Msg-Id"], each.data, each.metadata.timestamp.timestamp())
                    for each in await stand.messages(after=after)
                ]

        return asyncio.run(found())


LINES: Mapping[str, Callable[[Brokers], Line]] = {"kafka": KafkaLine, "nats": NatsLine}


def take(brokers: Brokers, server: Process, app_id: str, *, name: str, payloads: Sequence[str]) -> float:
    """Have a new source take these from a stream that has them all, until it has acknowledged each. The event ids are
    `name` and a number. Returns the seconds of processor time that the server spent."""
    return asyncio.run(_taken(brokers, server, app_id, name, payloads))


async def _taken(brokers: Brokers, server: Process, app_id: str, name: str, payloads: Sequence[str]) -> float:
    async with (
        nats_feed(brokers.nats, name) as feed,
        httpx.AsyncClient(
            base_url=f"{server.url}/api/v1/source", headers={"Authorization": f"Bearer {token()}"}, timeout=PATIENCE
        ) as client,
    ):
        await feed.produce(
            Produced(body=payload.encode(), headers={EVENT_ID: f"{name}-{number}"})
            for number, payload in enumerate(payloads)
        )
        said = {"name": name, "application": app_id, "eventType": "invoice.paid", feed.kind: feed.broker}
        worked = server.worked
        made = (await client.post("", json=said)).raise_for_status().json()
        async with asyncio.timeout(PATIENCE):
            while not await _is_through(feed):  # noqa: ASYNC110  # the server's doing
                await asyncio.sleep(POLL)
        worked = server.worked - worked
        (await client.delete(f"/{made['id']}")).raise_for_status()
    return worked


async def _is_through(feed: NatsFeed) -> bool:
    with suppress(NotFoundError):
        return await feed.waiting() == 0
    return False
