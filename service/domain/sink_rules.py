"""What the configuration of each kind of ordered destination has to be, as far as one can tell without calling it."""

import re
import ssl
from typing import assert_never
from urllib.parse import SplitResult, urlsplit

from service.domain import headers, limits
from service.domain.errors import Invalid
from service.domain.limits import MAX_ADDRESS_CHARACTERS, MAX_CERTIFICATE_CHARACTERS, MAX_CREDENTIAL_CHARACTERS
from service.domain.sink_addresses import SSL_MODES, is_masked, ssl_mode, userinfo
from service.domain.sinks import FifoSink, KafkaSink, NatsSink, PollingSink, PostgresSink, RabbitMqSink, S3Sink, Sink

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_control = re.compile(r"[\x00-\x1f\x7f]").search
_bucket, _region, _topic, _subject = (
    re.compile(pattern).fullmatch for pattern in (limits.BUCKET, limits.REGION, limits.TOPIC, limits.SUBJECT)
)


def check(sink: Sink) -> None:
    """Raises Invalid, with the path to the value, when messages can never be sent there."""
    match sink:
        case FifoSink():
            _check_fifo(sink)
        case RabbitMqSink():
            _check_rabbitmq(sink)
        case PostgresSink():
            _check_postgres(sink)
        case S3Sink():
            _check_s3(sink)
        case KafkaSink():
            _check_kafka(sink)
        case NatsSink():
            _check_nats(sink)
        case PollingSink():
            pass
        case _:
            assert_never(sink)


def _check_fifo(sink: FifoSink) -> None:
    fits = sink.url.startswith(("http://", "https://")) and len(sink.url) <= limits.MAX_URL_CHARACTERS
    most = limits.MAX_URL_CHARACTERS
    _refuse("url", f"A receiver's URL is http or https, and has at most {most:,} characters.", unless=fits)
    if reason := headers.why_refused(sink.headers):
        _refuse("headers", reason)
    _check_field_path(sink.key)


def _check_rabbitmq(sink: RabbitMqSink) -> None:
    parts = _address(sink.uri, "uri", schemes=("amqp", "amqps"), example="amqp://user:password@host:5672/%2F")
    _refuse("uri", "The URI has no parameters.", unless=not parts.query)
    _refuse("uri", "A `/` within the virtual host is written as `%2F`.", unless="/" not in parts.path[1:])
    mask = f"`{headers.MASK}` stands for a password that is not shown. Write the password."
    _refuse("uri", mask, unless=not is_masked(sink.uri))
    for name, text in (("routing_key", sink.routing_key), ("exchange", sink.exchange)):
        fits = len(text.encode()) <= limits.MAX_ROUTING_BYTES and not _control(text)
        _refuse(name, f"At most {limits.MAX_ROUTING_BYTES} bytes, without control characters.", unless=fits)


def _check_postgres(sink: PostgresSink) -> None:
    example = "postgres://user@host:5432/database?sslmode=require"
    parts = _address(sink.url, "url", schemes=("postgres", "postgresql"), example=example)
    user = userinfo(parts)
    _refuse("url", "The password is not a part of the URL, but goes into `password`.", unless=":" not in user)
    _refuse("url", f"Name a user and a database, as in `{example}`.", unless=bool(user) and len(parts.path) > 1)
    modes = f"The URL has no other parameter than `sslmode`, which is one of {', '.join(SSL_MODES)}."
    _refuse("url", modes, unless=ssl_mode(sink.url) is not None)
    most = limits.MAX_TABLE_NAME_BYTES
    table = f"A table is named as in `events` or `public.events`: at most {most} bytes each, without quotation marks."
    _refuse("table_name", table, unless=_is_table(sink.table_name))
    _check_credentials(password=sink.password)
    _check_certificate(sink.ssl_root_cert)


def _check_s3(sink: S3Sink) -> None:
    _refuse("bucket", "A bucket's name has 3 to 63 of a-z, 0-9, `.` and `-`.", unless=_bucket(sink.bucket) is not None)
    _refuse("region", "A region is named as in `eu-central-1`.", unless=_region(sink.region) is not None)
    _check_credentials(access_key_id=sink.access_key_id, secret_access_key=sink.secret_access_key)
    if sink.endpoint_url is not None:
        example = "https://s3.example.com"
        parts = _address(sink.endpoint_url, "endpoint_url", schemes=("http", "https"), example=example)
        is_bare = not (parts.query or userinfo(parts))
        _refuse("endpoint_url", "The URL has neither parameters nor credentials.", unless=is_bare)


def _check_kafka(sink: KafkaSink) -> None:
    for server in _some(sink.bootstrap_servers, "bootstrap_servers"):
        parts = _address(f"kafka://{server}", "bootstrap_servers", schemes=("kafka",), example="host:9092")
        is_whole = parts.port is not None and parts.netloc == server and not userinfo(parts)
        _refuse("bootstrap_servers", "A server is a host with its port, as in `host:9092`.", unless=is_whole)
    named = _topic(sink.topic) is not None and sink.topic not in {".", ".."}
    _refuse("topic", "A topic's name has at most 249 letters, digits, `.`, `_` and `-`.", unless=named)
    _check_field_path(sink.key)
    mechanisms = f"The mechanism is one of {', '.join(MECHANISMS)}."
    _refuse("sasl_mechanism", mechanisms, unless=sink.sasl_mechanism in (None, *MECHANISMS))
    given = {value is not None for value in (sink.sasl_mechanism, sink.username, sink.password)}
    together = "`saslMechanism`, `username` and `password` go together: all of them or none."
    _refuse("sasl_mechanism", together, unless=len(given) == 1)
    _check_credentials(username=sink.username, password=sink.password)
    _check_certificate(sink.ssl_root_cert)


def _check_nats(sink: NatsSink) -> None:
    for server in _some(sink.servers, "servers"):
        parts = _address(server, "servers", schemes=("nats", "tls"), example="nats://host:4222")
        is_bare = not (parts.query or parts.path or userinfo(parts))
        bare = "A server is named as in `nats://host:4222` or `tls://host:4222`, without credentials."
        _refuse("servers", bare, unless=is_bare)
    most = limits.MAX_SUBJECT_CHARACTERS
    subject = f"A subject has at most {most} characters, no blanks, no wildcards and no `$` at its beginning."
    _refuse("subject", subject, unless=_subject(sink.subject) is not None and len(sink.subject) <= most)
    has_user = sink.username is not None
    _refuse("username", "`username` and `password` go together.", unless=has_user == (sink.password is not None))
    _refuse("token", "A user and a token exclude each other.", unless=not has_user or sink.token is None)
    _check_credentials(username=sink.username, password=sink.password, token=sink.token)
    _check_certificate(sink.ssl_root_cert)


def _address(text: str, field: str, *, schemes: tuple[str, ...], example: str) -> SplitResult:
    """The parts of an address with one of these schemes, a host and, if any, a port that exists. Raises Invalid."""
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        is_whole = False
    fits = is_whole and len(text) <= MAX_ADDRESS_CHARACTERS and text.isascii() and text.isprintable()
    _refuse(field, f"The address has to look like `{example}`.", unless=fits and " " not in text)
    return parts


def _some(servers: tuple[str, ...], field: str) -> tuple[str, ...]:
    _refuse(field, f"Name 1 to {limits.MAX_SERVERS} servers.", unless=0 < len(servers) <= limits.MAX_SERVERS)
    return servers


def _is_table(name: str) -> bool:
    parts = name.split(".")
    fit = all(0 < len(part.encode()) <= limits.MAX_TABLE_NAME_BYTES for part in parts)
    return fit and len(parts) <= 2 and not _control(name) and not set("\"'`").intersection(name)


def _check_field_path(path: str | None) -> None:
    if path is None:
        return
    names = path.split(".")
    fits = len(path) <= limits.MAX_FIELD_CHARACTERS and len(names) <= limits.MAX_FIELD_PARTS and all(names)
    most = f"{limits.MAX_FIELD_PARTS} names and {limits.MAX_FIELD_CHARACTERS} characters"
    _refuse("key", f"A field is named as in `customer.id`, with at most {most}.", unless=fits and not _control(path))


def _check_credentials(**given: str | None) -> None:
    for name, text in given.items():
        if text is not None:
            fits = 0 < len(text) <= MAX_CREDENTIAL_CHARACTERS and not _control(text)
            _refuse(name, f"1 to {MAX_CREDENTIAL_CHARACTERS:,} characters, no control characters.", unless=fits)


def _check_certificate(pem: str | None) -> None:
    if pem is None:
        return
    fits = len(pem) <= MAX_CERTIFICATE_CHARACTERS and are_certificates(pem)
    most = f"at most {MAX_CERTIFICATE_CHARACTERS:,} characters"
    _refuse("ssl_root_cert", f"This has to be certificates in PEM, {most}, and no private key.", unless=fits)


def are_certificates(pem: str) -> bool:
    """Whether the text is certificates in PEM, and nothing that is kept secret."""
    if "PRIVATE KEY" in pem or "\0" in pem:
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, TypeError, ValueError):
        return False
    return True


def _refuse(field: str, sentence: str, *, unless: bool = False) -> None:
    if not unless:
        raise Invalid(sentence, field=("config", field))
