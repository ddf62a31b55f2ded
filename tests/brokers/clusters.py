"""Clusters of three nodes on loopback, as deploy/brokers/cluster/ has them, with what a source reads and a destination
is sent: only addresses, directories and the first password are other ones."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import aiormq
import nats
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from deploy.brokers import kinds, programs
from deploy.brokers.processes import Broker, free_ports
from deploy.stack.processes import ROOT
from deploy.stack.programs import build
from tests.support.broker_feeds import Feed, KafkaFeed, NatsFeed, RabbitMqFeed, login

FILES = ROOT / "deploy" / "brokers" / "cluster"
NODES = (1, 2, 3)
IN, OUT, DEAD = "events", "events.out", "events.dead"
_AT_ONCE = 500
_AGAIN_AFTER_S = 0.2
_MADE = {0, 36}  # Kafka's codes for a topic that is there, now or before


class Cluster(Protocol):
    """Three running nodes with all that they need for a source and a destination."""

    @property
    def feed(self) -> Feed:
        """What produces for the source."""
        ...

    @property
    def broker(self) -> Mapping[str, Any]:
        """The source's, as the API wants it."""
        ...

    @property
    def sink(self) -> Mapping[str, Any]:
        """The destination's configuration."""
        ...

    async def busiest(self) -> Broker:
        """The node on which the others wait for what the destination is sent."""
        ...

    async def arrived(self) -> list[str]:
        """The ids of the messages that the destination was sent, in their order, repeats among them."""
        ...


@contextmanager
def running(kind: str, directory: Path) -> Iterator[Sequence[Broker]]:
    """The three nodes, while the block lasts."""
    made = {"nats": _nats, "kafka": _kafka, "rabbitmq": _rabbitmq}[kind](directory)
    with ExitStack() as stack:
        for broker in made:
            stack.callback(broker.kill)
            broker.launch()
            if kind == "rabbitmq":
                # Nodes that start at once and see nobody would each begin a cluster of their own.
                broker.until_ready()
        for broker in made:
            broker.until_ready()
        yield made[-len(NODES) :]


def opened(kind: str, nodes: Sequence[Broker]) -> AbstractAsyncContextManager[Cluster]:
    """What is asked of them, while the block lasts."""
    return {"nats": _open_nats, "kafka": _open_kafka, "rabbitmq": _open_rabbitmq}[kind](nodes)


def _nats(directory: Path) -> list[Broker]:
    clients, routes = free_ports(len(NODES)), free_ports(len(NODES))
    known = {f"nats-{n}:6222": f"127.0.0.1:{port}" for n, port in zip(NODES, routes, strict=True)}
    made = []
    for n, port, route in zip(NODES, clients, routes, strict=True):
        home = _home(directory, n)
        own = {
            "0.0.0.0:4222": f"127.0.0.1:{port}",
            "0.0.0.0:6222": f"127.0.0.1:{route}",
            "/var/lib/nats": f"{home}/data",
        }
        config = _written(home, "nats.conf", known | own)
        made.append(
            Broker(
                name="nats-server",
                command=[str(build(programs.NATS)), "--config", str(config)],
                directory=home,
                port=port,
                environ={"NATS_NAME": f"nats-{n}", "NATS_PASSWORD": kinds.PASSWORD},
            )
        )
    return made


def _kafka(directory: Path) -> list[Broker]:
    clients, controllers = free_ports(len(NODES)), free_ports(len(NODES))
    known = {f"kafka-{n}:9093": f"127.0.0.1:{port}" for n, port in zip(NODES, controllers, strict=True)}
    made = []
    for n, port, controller in zip(NODES, clients, controllers, strict=True):
        home = _home(directory, n)
        own = {
            "kafka-${env:KAFKA_NODE}:9092": f"127.0.0.1:{port}",
            "CLIENTS://:9092": f"CLIENTS://127.0.0.1:{port}",
            "CONTROLLER://:9093": f"CONTROLLER://127.0.0.1:{controller}",
            "/var/lib/kafka": f"{home}/data",
        }
        properties = _written(home, "kafka.properties", known | own)
        environ = {
            "KAFKA_NODE": str(n),
            "KAFKA_CLUSTER_PASSWORD": "of-the-cluster",
            "KAFKA_RELEVO_PASSWORD": kinds.PASSWORD,
        }
        kinds.format_kafka(properties, home, environ=environ)
        made.append(kinds.kafka_node(properties, home, port=port, environ=environ))
    return made


def _rabbitmq(directory: Path) -> list[Broker]:
    """The name server of the machine first."""
    clients, distributions, (names,) = free_ports(len(NODES)), free_ports(len(NODES)), free_ports(1)
    known = {f"rabbit@rabbitmq-{n}": f"relevo-{n}@localhost" for n in NODES}
    made = []
    for n, port, distribution in zip(NODES, clients, distributions, strict=True):
        home = _home(directory, n)
        node = kinds.rabbitmq(home, port=port, distribution=distribution, names=names)
        own = {"0.0.0.0:5672": f"127.0.0.1:{port}", "change-me": kinds.PASSWORD}
        _written(home, "rabbitmq.conf", known | own)
        cookie = home / ".erlang.cookie"
        cookie.write_text("RELEVOTESTS")
        cookie.chmod(0o400)
        made.append(replace(node, environ={**node.environ, "RABBITMQ_NODENAME": f"relevo-{n}@localhost"}, helpers=()))
    environ = {"ERL_EPMD_PORT": str(names), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    epmd = Broker(name="epmd", command=["epmd"], directory=directory, port=names, environ=environ)
    return [epmd, *made]


def _home(directory: Path, n: int) -> Path:
    home = directory / f"node-{n}"
    home.mkdir()
    return home


def _written(home: Path, name: str, changes: Mapping[str, str]) -> Path:
    text = (FILES / name).read_text()
    for known, other in changes.items():
        assert known in text, known
        text = text.replace(known, other)
    (home / name).write_text(text)
    return home / name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nats:
    nodes: Sequence[Broker]
    feed: Feed
    broker: Mapping[str, Any]
    sink: Mapping[str, Any]
    client: Any

    async def busiest(self) -> Broker:
        """See `Cluster`."""
        info = await self.client.jetstream().stream_info(IN)
        return self.nodes[int(info.cluster.leader[-1]) - 1]

    async def arrived(self) -> list[str]:
        """See `Cluster`."""
        stream = self.client.jetstream()
        read = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL)
        pulled, found = await stream.pull_subscribe(OUT, stream=IN, config=read), list[Any]()
        waiting = (await pulled.consumer_info()).num_pending
        while len(found) < waiting:
            found += await pulled.fetch(_AT_ONCE)
        return [each.headers["Nats-Msg-Id"] for each in found]


@asynccontextmanager
async def _open_nats(nodes: Sequence[Broker]) -> AsyncIterator[Cluster]:
    """The stream and consumer of the files."""
    servers = [f"nats://127.0.0.1:{node.port}" for node in nodes]
    client = await nats.connect(
        servers,
        user=kinds.USER,
        password=kinds.PASSWORD,
        reconnect_time_wait=0.2,
        max_reconnect_attempts=-1,
        error_cb=_nothing,
    )
    try:
        await _asked(client, f"STREAM.CREATE.{IN}", "nats-stream.json")
        consumer = json.loads((FILES / "nats-consumer.json").read_text())
        await _asked(client, f"CONSUMER.DURABLE.CREATE.{IN}.relevo", {"stream_name": IN, "config": consumer})
        feed = NatsFeed(client, servers[0], IN)
        sink = {"servers": servers, "subject": OUT, "username": kinds.USER, "password": kinds.PASSWORD}
        yield _Nats(nodes=nodes, feed=feed, broker=feed.broker | {"servers": servers}, sink=sink, client=client)
    finally:
        await client.close()


async def _asked(client: Any, what: str, said: str | Mapping[str, Any]) -> None:
    """Ask JetStream, again until the servers have found each other."""
    body = (FILES / said).read_text() if isinstance(said, str) else json.dumps(said)
    while True:
        with suppress(nats.errors.TimeoutError, nats.errors.NoRespondersError):
            answer = json.loads((await client.request(f"$JS.API.{what}", body.encode(), timeout=5)).data)
            if answer.get("error", {}).get("code") != 503:
                assert "error" not in answer, answer
                return
        await asyncio.sleep(_AGAIN_AFTER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kafka:
    nodes: Sequence[Broker]
    feed: Feed
    broker: Mapping[str, Any]
    sink: Mapping[str, Any]
    admin: Any

    async def busiest(self) -> Broker:
        """See `Cluster`."""
        (leader,) = {part["leader"] for part in await _partitions(self.admin, [OUT]) if part["partition"] == 0}
        return self.nodes[int(leader) - 1]

    async def arrived(self) -> list[str]:
        """See `Cluster`."""
        async with AIOKafkaConsumer(bootstrap_servers=self.sink["bootstrapServers"], **login()) as consumer:
            places = [TopicPartition(OUT, number) for number in range(6)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            waiting, found = sum((await consumer.end_offsets(places)).values()), list[Any]()
            while len(found) < waiting:
                found += [each for some in (await consumer.getmany(timeout_ms=1000)).values() for each in some]
        return [dict(each.headers)["relevo-message-id"].decode() for each in found]


@asynccontextmanager
async def _open_kafka(nodes: Sequence[Broker]) -> AsyncIterator[Cluster]:
    """Topics that say nothing of replicas."""
    servers = [f"127.0.0.1:{node.port}" for node in nodes]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, **login())
    await admin.start()
    try:
        await _topics(admin)
        producing = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, **login())
        async with producing as producer:
            feed = KafkaFeed(producer, servers[0], IN)
            sign_in = {"saslMechanism": "PLAIN", "username": kinds.USER, "password": kinds.PASSWORD}
            sink = {"bootstrapServers": servers, "topic": OUT, **sign_in}
            broker = feed.broker | {"bootstrapServers": servers}
            yield _Kafka(nodes=nodes, feed=feed, broker=broker, sink=sink, admin=admin)
    finally:
        await admin.close()


async def _topics(admin: Any) -> None:
    """Made once all three nodes have joined, each with three replicas."""
    names = [IN, OUT, DEAD]
    # Partitions and replicas are the servers' own affair: -1.
    wanted = [NewTopic(name, -1, -1, replica_assignments={}) for name in names]
    while any(code not in _MADE for _, code, *_ in (await admin.create_topics(wanted)).topic_errors):  # noqa: ASYNC110  # the nodes' doing
        await asyncio.sleep(_AGAIN_AFTER_S)
    while any(len(part["isr"]) < len(NODES) for part in await _partitions(admin, names)):  # noqa: ASYNC110  # the nodes' doing
        await asyncio.sleep(_AGAIN_AFTER_S)


async def _partitions(admin: Any, names: Sequence[str]) -> list[Mapping[str, Any]]:
    return [part for topic in await admin.describe_topics(list(names)) for part in topic["partitions"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RabbitMq:
    nodes: Sequence[Broker]
    feed: Feed
    broker: Mapping[str, Any]
    sink: Mapping[str, Any]

    async def busiest(self) -> Broker:
        """See `Cluster`: the one where the queues were made."""
        return self.nodes[0]

    async def arrived(self) -> list[str]:
        """See `Cluster`: taken out of the queue."""
        connection = await aiormq.connect(_uri(self.nodes[-1].port))
        try:
            channel, found = await connection.channel(), list[str]()
            while (message := await channel.basic_get(OUT, no_ack=True)).delivery.name == "Basic.GetOk":
                found.append(str(message.header.properties.message_id))
            return found
        finally:
            await connection.close()


@asynccontextmanager
async def _open_rabbitmq(nodes: Sequence[Broker]) -> AsyncIterator[Cluster]:
    """The queues of the definitions, behind one address, as a balancer has it."""
    connection = await aiormq.connect(_uri(nodes[0].port))
    async with _balanced([node.port for node in nodes]) as port:
        channel = await connection.channel(publisher_confirms=True)
        await _defined(channel, json.loads((FILES / "rabbitmq-definitions.json").read_text()))
        feed = RabbitMqFeed(channel, _uri(port), IN)
        try:
            yield _RabbitMq(nodes=nodes, feed=feed, broker=feed.broker, sink={"uri": _uri(port), "routingKey": OUT})
        finally:
            with suppress(aiormq.exceptions.AMQPError, OSError):
                await connection.close()


async def _defined(channel: Any, definitions: Mapping[str, Any]) -> None:
    for each in definitions["exchanges"]:
        await channel.exchange_declare(each["name"], exchange_type=each["type"], durable=each["durable"])
    for each in definitions["queues"]:
        await channel.queue_declare(each["name"], durable=each["durable"], arguments=each["arguments"])
    for each in definitions["bindings"]:
        await channel.queue_bind(each["destination"], each["source"], each["routing_key"])


@asynccontextmanager
async def _balanced(ports: Sequence[int]) -> AsyncIterator[int]:
    """A port from which everything goes to the first of these that answers, and back."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in ports:
            with suppress(ConnectionError):
                theirs, ours = await asyncio.open_connection("127.0.0.1", port)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, ours))
                    group.create_task(_copy(theirs, writer))
                return
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while read := await reader.read(65_536):
            writer.write(read)
            await writer.drain()
    writer.close()


def _uri(port: int) -> str:
    return f"amqp://{kinds.USER}:{kinds.PASSWORD}@127.0.0.1:{port}/%2F"


async def _nothing(_: Exception) -> None:
    """Errors are seen by whoever asks next."""
