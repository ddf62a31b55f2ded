"""All four brokers at once, and where they are."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.brokers import kinds
from deploy.brokers.processes import Broker, free_ports

NAMES = ("rabbitmq", "kafka", "nats", "s3")  # the slowest to start come first


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The brokers' ports, all on loopback; by default those that everybody knows."""

    nats: int = 4222
    kafka: int = 9092
    kafka_sasl: int = 9093
    kafka_controller: int = 9094
    rabbitmq: int = 5672
    rabbitmq_distribution: int = 25672
    rabbitmq_names: int = 4370  # not Erlang's own 4369, where a service's name server is
    s3: int = 7070

    @classmethod
    def free(cls) -> "Ports":
        """Ports that are free at the moment."""
        names = [each.name for each in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Brokers:
    """The addresses of running brokers, and whom they let in. Kafka's plain listener asks for no password."""

    nats: str
    kafka: str
    kafka_sasl: str
    rabbitmq: str
    s3: str
    user: str = kinds.USER
    password: str = kinds.PASSWORD
    bucket: str = kinds.BUCKET
    region: str = kinds.REGION

    def as_json(self) -> str:
        """The addresses as JSON, for other programs."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)}, indent=1) + "\n"


@contextmanager
def running_brokers(directory: Path, ports: Ports, *, only: Collection[str] = NAMES) -> Iterator[Brokers]:
    """Run all four, or `only` some, while the block lasts, with their data in `directory`. Raises BrokerFailed."""
    with running_programs(directory, ports, only=only):
        yield addresses(ports)


@contextmanager
def running_programs(directory: Path, ports: Ports, *, only: Collection[str] = NAMES) -> Iterator[Mapping[str, Broker]]:
    """The same, for those who stop and start one of them: the programs by their names in NAMES."""
    started = {name: _described(name, directory / name, ports) for name in NAMES if name in only}
    with ExitStack() as stack:
        for broker in started.values():
            # What they kept is thrown away: there is nothing to end in order.
            stack.callback(broker.kill)
            broker.launch()
        for broker in started.values():
            broker.until_ready()
        yield started


def addresses(ports: Ports) -> Brokers:
    """Where brokers at these ports are."""
    return Brokers(
        nats=f"nats://127.0.0.1:{ports.nats}",
        kafka=f"127.0.0.1:{ports.kafka}",
        kafka_sasl=f"127.0.0.1:{ports.kafka_sasl}",
        rabbitmq=f"amqp://{kinds.USER}:{kinds.PASSWORD}@127.0.0.1:{ports.rabbitmq}/%2F",
        s3=f"http://127.0.0.1:{ports.s3}",
    )


def _described(name: str, place: Path, ports: Ports) -> Broker:
    place.mkdir()
    match name:
        case "rabbitmq":
            nodes, names = ports.rabbitmq_distribution, ports.rabbitmq_names
            return kinds.rabbitmq(place, port=ports.rabbitmq, distribution=nodes, names=names)
        case "kafka":
            return kinds.kafka(place, plain=ports.kafka, sasl=ports.kafka_sasl, controller=ports.kafka_controller)
        case "nats":
            return kinds.nats(place, port=ports.nats)
        case "s3":
            return kinds.s3(place, port=ports.s3)
        case _:
            raise ValueError(name)
