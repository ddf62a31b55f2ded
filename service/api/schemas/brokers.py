"""What a caller writes to say where a broker is, what in it is meant, and who asks: types of request fields."""

import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from service.api.schemas.rules import Name
from service.domain.limits import MAX_CERTIFICATE_CHARACTERS, MAX_NAME_CHARACTERS
from service.domain.sink_rules import are_certificates
from service.domain.sources import TOPIC

MAX_SERVERS = 20
_host_and_port = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+):[0-9]{1,5}").fullmatch


def _url_of(text: str, *schemes: str) -> SplitResult:
    """The URL, of a host and with one of these schemes. ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"This is not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    _ = parts.port  # ValueError when it is none
    return parts


def _nats_url(text: str) -> str:
    parts = _url_of(text, "nats", "tls")
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("A server has a host and a port alone; credentials have fields of their own.")
    return text


def _rabbitmq_uri(text: str) -> str:
    _url_of(text, "amqp", "amqps")
    return text


def _server(text: str) -> str:
    if not _host_and_port(text):
        raise ValueError("This is not a host and a port, as in kafka.example.com:9092.")
    return text


def _certificates(pem: str) -> str:
    if not are_certificates(pem):
        raise ValueError("This has to be certificates in PEM, and no private key.")
    return pem


def _like(*examples: Any) -> Any:
    return Field(examples=list(examples))


_SHORT = StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS)
NatsName = Annotated[Name, _SHORT, StringConstraints(pattern=r"^[^\s.*>/\\]+$")]
Subject = Annotated[Name, _SHORT, StringConstraints(pattern=r"^\S+$")]
Topic = Annotated[str, StringConstraints(min_length=1, max_length=249, pattern=TOPIC)]
BrokerName = Annotated[Name, _SHORT]
Certificate = Annotated[
    str,
    StringConstraints(max_length=MAX_CERTIFICATE_CHARACTERS),
    AfterValidator(_certificates),
    _like("-----BEGIN CERTIFICATE-----\n..."),
]
NatsServers = Annotated[
    list[Annotated[Name, _SHORT, AfterValidator(_nats_url)]],
    Field(min_length=1, max_length=MAX_SERVERS, examples=[["nats://nats.example.com:4222"]]),
]
KafkaServers = Annotated[
    list[Annotated[Name, _SHORT, AfterValidator(_server)]],
    Field(min_length=1, max_length=MAX_SERVERS, examples=[["kafka.example.com:9092"]]),
]
AmqpUri = Annotated[
    Name,
    StringConstraints(max_length=4096),
    AfterValidator(_rabbitmq_uri),
    _like("amqps://relevo:password@rabbitmq.example.com:5671/%2F"),
]
SaslMechanism = Annotated[
    str, StringConstraints(pattern=r"^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$"), _like("SCRAM-SHA-512")
]
