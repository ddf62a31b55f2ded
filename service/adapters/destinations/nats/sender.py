"""Publishes batches to a stream of NATS JetStream, which acknowledges each message and knows a repetition by its id."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from service.adapters.destinations import records
from service.adapters.destinations.conversation import Unreadable, conversation, unreadable
from service.adapters.destinations.kept import KeptConnections, pipelined
from service.adapters.destinations.listening import encrypted, streams
from service.adapters.destinations.network import Dialer, explain, tls
from service.adapters.destinations.results import NotNow, Told
from service.domain.batches import Batch, StreamMessage
from service.domain.outcomes import NO_ANSWER, ErrorType
from service.domain.sinks import NatsSink, SinkKind

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

DEFAULT_PORT = 4222

_NO_GREETING = "empty response from server"
_NO_STREAM = "No stream of JetStream takes this subject."
_NOT_LET_IN = "The server refused the user and password, or the token."


@dataclass(slots=True)
class NatsLink:
    """A connection, and the acknowledgements that are waited for: what the server complains of fails them all."""

    client: "Client"
    stream: "JetStreamContext"
    waiting: list["asyncio.Future[Any]"] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """Nothing more will be acknowledged."""
        for answer in self.waiting:
            if not answer.done():
                answer.set_exception(error)


class NatsSender(KeptConnections[NatsSink, NatsLink]):
    """Publishes a batch without waiting between its messages, then waits for their acknowledgements.

    Only the configured servers are called, never those that a cluster tells of.
    """

    kind = SinkKind.NATS

    def __init__(self, dialer: Dialer, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._dialer = dialer

    async def _open(self, sink: NatsSink) -> NatsLink:
        return await connect(
            sink.servers,
            dialer=self._dialer,
            authorities=sink.ssl_root_cert,
            user=sink.username,
            password=sink.password,
            token=sink.token,
        )

    async def _publish(self, connection: NatsLink, sink: NatsSink, batch: Batch, *, deadline: float) -> None:
        from nats import errors

        async def publish(message: StreamMessage) -> "asyncio.Future[Any]":
            told = {"Nats-Msg-Id": str(message.id), **records.headers(batch, message)}
            answer = await connection.stream.publish_async(sink.subject, message.payload, headers=told)
            connection.waiting.append(answer)
            return answer

        taken, error = await pipelined(batch.messages, publish, deadline=deadline, own=(errors.Error,))
        connection.waiting.clear()
        if error is not None:
            raise _told(error, taken=taken) from None

    async def _end(self, connection: NatsLink) -> None:
        await connection.client.close()

    def _usable(self, connection: NatsLink) -> bool:
        return connection.client.is_connected


async def connect(
    servers: Sequence[str],
    *,
    dialer: Dialer,
    authorities: str | None,
    user: str | None,
    password: str | None,
    token: str | None,
) -> NatsLink:
    """Connect to the first of the servers that answers. It is not connected again when it breaks.

    Raises Told, or the last error of the network.
    """
    refused: OSError = ConnectionError()
    for server in servers:
        url = urlsplit(server)
        try:
            opened = await dialer.dial(url.hostname or "", url.port or DEFAULT_PORT)
        except OSError as error:
            refused = error
            continue
        transport = _transport(opened, most=dialer.most)
        return await _signed_in(server, transport, authorities=authorities, user=user, password=password, token=token)
    raise refused


async def _signed_in(server: str, transport: Any, *, authorities: str | None, **login: Any) -> NatsLink:
    from nats import errors

    client = _client(transport)
    link = NatsLink(client, client.jetstream())
    encrypted = urlsplit(server).scheme == "tls" or authorities is not None

    async def complain(error: Exception) -> None:
        link.fail(error)

    async def closed() -> None:
        lost = client.last_error
        link.fail(lost if isinstance(lost, Unreadable) else ConnectionResetError())

    try:
        context = tls(authorities) if encrypted else None
        with conversation(errors.Error):
            await client.connect(
                server,
                name="relevo",
                allow_reconnect=False,
                max_reconnect_attempts=0,
                error_cb=complain,
                closed_cb=closed,
                tls=context,
                **login,
            )
    except BaseException as error:  # noqa: BLE001  # raised again, in words for the tenant
        transport.close()
        raise _told(error) from None
    return link


def _told(error: BaseException, *, taken: int = 0) -> BaseException:
    """What the tenant is told of an error. The server's own sentences name subjects and streams, never passwords."""
    from nats import errors
    from nats.js import errors as stream

    for kinds, error_type, text in (
        (stream.NoStreamResponseError, ErrorType.REFUSED, _NO_STREAM),
        (errors.AuthorizationError, ErrorType.REFUSED, _NOT_LET_IN),
        (errors.MaxPayloadError, ErrorType.REFUSED, "The message is larger than the server takes."),
        (errors.BadSubjectError, ErrorType.REFUSED, "The subject is not one that can be published to."),
        (TimeoutError, ErrorType.TIMEOUT, NO_ANSWER[ErrorType.TIMEOUT]),
        ((errors.ConnectionClosedError, errors.StaleConnectionError), ErrorType.RESET, NO_ANSWER[ErrorType.RESET]),
    ):
        if isinstance(error, kinds):
            return Told(error_type, text, taken=taken)
    if isinstance(error, (stream.ServiceUnavailableError, stream.TooManyStalledMsgsError)):
        return NotNow(f"JetStream takes nothing for now: {_words(error)}", taken=taken)
    if isinstance(error, errors.Error) and _NO_GREETING in str(error):
        return Told(ErrorType.RESET, NO_ANSWER[ErrorType.RESET])
    if isinstance(error, errors.Error):
        return Told(ErrorType.REFUSED, f"The server refused: {_words(error)}", taken=taken)
    if isinstance(error, OSError) and taken:
        unread = explain(error) if isinstance(error, Unreadable) else None
        return Told(*(unread or (ErrorType.RESET, NO_ANSWER[ErrorType.RESET])), taken=taken)
    return error


def _words(error: BaseException) -> str:
    return str(getattr(error, "description", None) or error).removeprefix("nats: ")


def _client(transport: Any) -> "Client":
    from nats import errors
    from nats.aio.client import Client
    from nats.protocol.parser import Parser

    class CarefulParser(Parser):
        """Raises what cannot be read in a way that ends the connection; of the rest nats-py only logs."""

        async def parse(self, data: bytes = b"") -> None:
            try:
                with conversation(errors.Error):
                    await super().parse(data)
            except errors.ProtocolError as error:
                raise unreadable(error) from error

    class DialedNats(Client):
        """A client over a connection that is open already."""

        def __init__(self) -> None:
            super().__init__()
            self._transport = transport
            self._ps = CarefulParser(self)

    return DialedNats()


def _transport(opened: socket.socket, *, most: int) -> Any:
    from nats.aio.transport import TcpTransport

    class DialedTransport(TcpTransport):
        """A connection to a permitted address."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]  # nats-py has no type for it

        async def connect(self, uri: Any, buffer_size: int, connect_timeout: int) -> None:  # noqa: ARG002  # its own
            reader, writer = await streams(opened, limit=buffer_size, most=most)
            self._bare_io_reader = self._io_reader = reader
            self._bare_io_writer = self._io_writer = writer

        async def connect_tls(self, uri: Any, ssl_context: Any, buffer_size: int, connect_timeout: int) -> None:
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(limit=buffer_size, loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            host = uri if isinstance(uri, str) else uri.hostname
            async with asyncio.timeout(connect_timeout):
                voice = await encrypted(cast("Any", self._io_writer).transport, protocol, ssl_context, host=host)
            reader.set_transport(voice)  # type: ignore[arg-type]  # it is one by its methods
            self._io_reader = reader
            self._io_writer = asyncio.StreamWriter(voice, protocol, reader, loop)  # type: ignore[arg-type]  # as above

        def close(self) -> None:
            (self._io_writer or opened).close()

        def __bool__(self) -> bool:
            return True

    return DialedTransport()
