"""Sources: brokers that messages come in from, who of our processes reads them, and what was refused of it.

How to reach a kind of broker is known to its consumer alone. Passwords, tokens and RabbitMQ's URI are credentials: they
are stored encrypted, and never shown, logged or traced.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar
from urllib.parse import urlsplit

from service.domain.ids import OrgId, SourceId

MAX_SOURCES = 100  # of an organisation
MAX_FAULTS = 1000  # kept of a source; the oldest go
FAULT_TEXT_CHARACTERS = 256  # of what a refused message said of itself
TOPIC = r"^[a-zA-Z0-9._\-]+$"  # as Kafka has it
HEARD_WITHIN = timedelta(seconds=30)  # a reader that reported nothing for so long is gone
FORGOTTEN_AFTER = timedelta(hours=1)  # when what it reported is deleted


class SourceKind(StrEnum):
    """The words are the API's."""

    NATS = "nats"
    KAFKA = "kafka"
    RABBITMQ = "rabbitmq"


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOrigin:
    """A JetStream stream, read through the durable pull consumer `consumer`, which is created if it does not exist.

    `servers` are URLs like nats://host:4222 or tls://host:4222. `subject` is the filter of a consumer that is created.
    `dead_letter` is a subject.
    """

    kind: ClassVar = SourceKind.NATS
    servers: tuple[str, ...]
    stream: str
    consumer: str = "relevo"
    subject: str | None = None
    dead_letter: str | None = None
    ssl_root_cert: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers as URLs."""
        return self.servers


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOrigin:
    """A topic, read by the consumer group `group`, from its beginning at first. `dead_letter` is a topic.

    `sasl_mechanism` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    """

    kind: ClassVar = SourceKind.KAFKA
    bootstrap_servers: tuple[str, ...]
    topic: str
    group: str = "relevo"
    dead_letter: str | None = None
    tls: bool = False
    ssl_root_cert: str | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The bootstrap servers as URLs."""
        return tuple(f"kafka://{server}" for server in self.bootstrap_servers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMqOrigin:
    """A queue, which has to exist. `uri` as in amqp://user:password@host:5672/%2F. `dead_letter` is an exchange, to
    which a refused message goes with the routing key that it came with."""

    kind: ClassVar = SourceKind.RABBITMQ
    uri: str = field(repr=False)
    queue: str
    dead_letter: str | None = None
    ssl_root_cert: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The server as a URL, without credentials."""
        parts = urlsplit(self.uri)
        place = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return (f"{parts.scheme}://{place}" + (f":{parts.port}" if parts.port else ""),)


Origin = NatsOrigin | KafkaOrigin | RabbitMqOrigin
ORIGINS: Mapping[SourceKind, type[Origin]] = {
    SourceKind.NATS: NatsOrigin,
    SourceKind.KAFKA: KafkaOrigin,
    SourceKind.RABBITMQ: RabbitMqOrigin,
}
# What nobody is shown: each field that is not in an origin's `repr`.
CREDENTIALS = frozenset(each.name for origin in ORIGINS.values() for each in fields(origin) if not each.repr)


def shown(origin: Origin) -> dict[str, Any]:
    """What of the origin may be shown, by the names of its fields."""
    return {each.name: getattr(origin, each.name) for each in fields(origin) if each.name not in CREDENTIALS}


def origin_of(kind: SourceKind, said: Mapping[str, Any]) -> Origin:
    """The origin of this kind with these fields; lists become tuples."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return ORIGINS[kind](**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSource:
    """What a caller says of a source. `application` (id or uid) and `event_type`, if given, are those of every message,
    whatever the message says."""

    name: str
    origin: Origin
    application: str | None = None
    event_type: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source without its credentials: `place` is what may be shown of its origin."""

    id: SourceId
    org_id: OrgId
    name: str
    kind: SourceKind
    place: Mapping[str, Any]
    application: str | None
    event_type: str | None
    enabled: bool
    created_at: datetime
    updated_at: datetime


class Reading(StrEnum):
    """How a source is read: by nobody, since it is switched off or no process serves; by somebody; or in vain."""

    STOPPED = "stopped"
    RUNNING = "running"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderReport:
    """What one process tells of its reading. `lag` is how many messages wait; of Kafka, in the process's partitions."""

    reader: str
    state: Reading
    reason: str | None
    lag: int | None
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How the source is read by all processes."""

    state: Reading
    reason: str | None = None
    lag: int | None = None
    readers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFault:
    """A message that was refused for good. `position` is the broker's; the rest is what the message said of itself."""

    id: str
    position: str
    application: str | None
    event_type: str | None
    event_id: str | None
    code: str
    detail: str
    created_at: datetime


def state_of(source: Source, reports: Collection[ReaderReport], *, now: datetime) -> SourceState:
    """What the processes' reports say together: it runs if any of them reads; else the latest reason counts."""
    heard = sorted((report for report in reports if _is_at_it(report, now)), key=lambda report: report.seen_at)
    if not source.enabled or not heard:
        return SourceState(state=Reading.STOPPED)
    reading = [report for report in heard if report.state is Reading.RUNNING]
    lags = [report.lag for report in reading if report.lag is not None]
    # Of Kafka each process knows its own partitions, of the others the whole stream or queue.
    lag = (sum(lags) if source.kind is SourceKind.KAFKA else max(lags)) if lags else None
    told = SourceState(state=heard[-1].state, reason=heard[-1].reason, lag=lag, readers=len(reading))
    return replace(told, state=Reading.RUNNING, reason=None) if reading else told


def _is_at_it(report: ReaderReport, now: datetime) -> bool:
    return report.state is not Reading.STOPPED and now - report.seen_at < HEARD_WITHIN
