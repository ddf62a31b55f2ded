"""Publishes batches to RabbitMQ: persistent messages, each confirmed by the broker."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from service.adapters.destinations import records
from service.adapters.destinations.conversation import Unreadable, conversation, unreadable
from service.adapters.destinations.kept import KeptConnections, acknowledged
from service.adapters.destinations.network import Dialer
from service.adapters.destinations.results import NotNow, Told
from service.domain.batches import Batch, StreamMessage
from service.domain.outcomes import NO_ANSWER, ErrorType
from service.domain.sinks import RabbitMqSink, SinkKind

if TYPE_CHECKING:
    from aiormq import Channel
    from aiormq.abc import AbstractConnection
    from pamqp.commands import Basic

_PERSISTENT = 2

_NO_QUEUE = "No queue takes messages with this routing key from this exchange, and `mandatory` is set."
_NOT_LET_IN = "The broker refused the user and password."
_NOT_TAKEN = "The broker did not take the message: its queue is full, or it has a fault."


@dataclass(frozen=True, slots=True)
class RabbitMqLink:
    """A connection and its one channel, which confirms."""

    connection: "AbstractConnection"
    channel: "Channel"


class RabbitMqSender(KeptConnections[RabbitMqSink, RabbitMqLink]):
    """Publishes a batch without waiting between its messages, then waits for their confirmations.

    A message that the broker refuses ends the batch: those after it that it took all the same are sent again.
    """

    kind = SinkKind.RABBITMQ

    def __init__(self, dialer: Dialer, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._dialer = dialer

    async def _open(self, sink: RabbitMqSink) -> RabbitMqLink:
        from aiormq.exceptions import AMQPError

        from service.adapters.destinations.rabbitmq.connecting import connect

        try:
            connection = await connect(sink.uri, dialer=self._dialer)
        except AMQPError as error:
            raise _told(error) from None
        try:
            with conversation(AMQPError, RuntimeError):
                channel = await connection.channel(publisher_confirms=True)
            return RabbitMqLink(connection, cast("Channel", channel))
        except BaseException as error:  # noqa: BLE001  # raised again, in words for the tenant
            await connection.close()
            raise _told(error) from None

    async def _publish(self, connection: RabbitMqLink, sink: RabbitMqSink, batch: Batch, *, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        publishing = [
            loop.create_task(
                connection.channel.basic_publish(
                    message.payload,
                    exchange=sink.exchange,
                    routing_key=sink.routing_key,
                    properties=_properties(batch, message),
                    mandatory=sink.mandatory,
                    wait=False,
                )
            )
            for message in batch.messages
        ]
        taken, error = await acknowledged(publishing, deadline=deadline)
        if error is not None:
            told = _told(error, taken=taken)
            # aiormq writes and waits in one go. What cannot be written leaves the connection open, and is our fault;
            # what cannot be read ends it.
            is_known = isinstance(told, (Told, NotNow, OSError)) or self._usable(connection)
            raise (told if is_known else unreadable(told)) from None

    async def _end(self, connection: RabbitMqLink) -> None:
        await connection.connection.close()

    def _usable(self, connection: RabbitMqLink) -> bool:
        return not (connection.connection.is_closed or connection.channel.is_closed)


def _properties(batch: Batch, message: StreamMessage) -> "Basic.Properties":
    from pamqp.commands import Basic

    return Basic.Properties(
        content_type=message.content_type or records.JSON,
        delivery_mode=_PERSISTENT,
        message_id=str(message.id),
        message_type=message.event_type,
        timestamp=message.created_at,
        app_id="relevo",
        headers=dict(records.headers(batch, message)),
    )


def _told(error: BaseException, *, taken: int = 0) -> BaseException:
    """What the tenant is told of an error. RabbitMQ's own sentences name exchanges and queues, never passwords."""
    from aiormq import exceptions as amqp

    if isinstance(error, (amqp.ProtocolSyntaxError, amqp.IncompatibleProtocolError)):
        error = unreadable(error)
    if isinstance(error, Unreadable):
        return Told(ErrorType.MALFORMED, error.text, taken=taken)
    cause = error.__cause__
    if isinstance(cause, OSError) and not isinstance(cause, amqp.AMQPError):
        return cause if not taken else Told(ErrorType.RESET, NO_ANSWER[ErrorType.RESET], taken=taken)
    for kinds, error_type, text in (
        (amqp.PublishError, ErrorType.REFUSED, _NO_QUEUE),
        ((amqp.AuthenticationError, amqp.ProbableAuthenticationError), ErrorType.REFUSED, _NOT_LET_IN),
        ((amqp.ConnectionNotAllowed, amqp.ChannelClosed), ErrorType.REFUSED, f"The broker refused: {error}"),
        (TimeoutError, ErrorType.TIMEOUT, NO_ANSWER[ErrorType.TIMEOUT]),
    ):
        if isinstance(error, kinds):
            return Told(error_type, text, taken=taken)
    if isinstance(error, amqp.DeliveryError):
        return NotNow(_NOT_TAKEN, taken=taken)
    # It is a RuntimeError that aiormq raises about what is closed.
    if isinstance(error, (OSError, amqp.AMQPError)) or type(error) in {RuntimeError, amqp.ChannelInvalidStateError}:
        return Told(ErrorType.RESET, NO_ANSWER[ErrorType.RESET], taken=taken)
    return error
