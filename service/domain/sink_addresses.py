"""The addresses in the configurations of ordered destinations: where each kind is called, and what of an address is
shown."""

from typing import assert_never
from urllib.parse import SplitResult, parse_qsl, urlsplit

from service.domain.headers import MASK
from service.domain.sinks import (
    FifoSink,
    KafkaSink,
    NatsSink,
    PostgresSink,
    PushedSink,
    RabbitMqSink,
    S3Sink,
    SinkKind,
)

# The field that has a kind's address.
ADDRESS = {
    SinkKind.FIFO: "url",
    SinkKind.RABBITMQ: "uri",
    SinkKind.POSTGRES: "url",
    SinkKind.S3: "endpoint_url",
    SinkKind.KAFKA: "bootstrap_servers",
    SinkKind.NATS: "servers",
}
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_ENCRYPTED_MODES = SSL_MODES[3:]


def addresses(sink: PushedSink) -> tuple[str, ...]:
    """The URLs that are called; none for Amazon's own S3. Those of brokers and databases are without credentials."""
    match sink:
        case FifoSink():
            return (sink.url,)
        case RabbitMqSink():
            return (_bare(sink.uri),)
        case PostgresSink():
            return (_bare(sink.url),)
        case S3Sink():
            return () if sink.endpoint_url is None else (sink.endpoint_url,)
        case KafkaSink():
            return tuple(f"kafka://{server}" for server in sink.bootstrap_servers)
        case NatsSink():
            return sink.servers
        case _:
            assert_never(sink)


def is_encrypted(sink: PushedSink) -> bool:
    """Whether nothing is sent there in the clear."""
    match sink:
        case FifoSink():
            return sink.url.startswith("https://")
        case RabbitMqSink():
            return sink.uri.startswith("amqps://")
        case PostgresSink():
            return ssl_mode(sink.url) in _ENCRYPTED_MODES
        case S3Sink():
            return sink.endpoint_url is None or sink.endpoint_url.startswith("https://")
        case KafkaSink():
            return sink.tls
        case NatsSink():
            return all(server.startswith("tls://") for server in sink.servers)
        case _:
            assert_never(sink)


def ssl_mode(url: str) -> str | None:
    """The `sslmode` of a PostgreSQL URL, by default `prefer`; None when the URL has another value or parameter."""
    match parse_qsl(urlsplit(url).query, keep_blank_values=True):
        case []:
            return "prefer"
        case [("sslmode", mode)] if mode in SSL_MODES:
            return mode
        case _:
            return None


def masked(uri: str) -> str:
    """The URI with its password masked."""
    parts = urlsplit(uri)
    user, colon, _password = userinfo(parts).partition(":")
    return parts._replace(netloc=f"{user}:{MASK}@{_hostport(parts)}").geturl() if colon else uri


def is_masked(uri: str) -> bool:
    """Whether its password is the mask: then the URI is one that was shown."""
    return f":{MASK}@" in uri


def is_for_same(uri: str, known: str) -> bool:
    """Whether the password of the one URI is sent to the same place, for the same user, as that of the other."""
    try:
        return _recipient(uri) == _recipient(known)
    except ValueError:
        return False


def unmasked(uri: str, known: str) -> str:
    """The URI that was shown, with user, password and host of the stored one."""
    return urlsplit(uri)._replace(netloc=urlsplit(known).netloc).geturl()


def _recipient(uri: str) -> tuple[str, str, str]:
    parts = urlsplit(uri)
    return parts.scheme, userinfo(parts).partition(":")[0], _hostport(parts).lower()


def userinfo(parts: SplitResult) -> str:
    """The user and password of a URL, as they are written in it."""
    return parts.netloc.rpartition("@")[0]


def _hostport(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{_hostport(parts)}"
