"""Reads a RabbitMQ queue, which shares its messages between all processes.

A message without a message id or an event id of its own has nothing that is the same when it is delivered again: if a
process dies between its commit and its acknowledgement, it is accepted twice.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import AMQPError, AuthenticationError, ChannelInvalidStateError, ProbableAuthenticationError
from pamqp.commands import Basic

from service.adapters.destinations.network import Dialer
from service.adapters.destinations.rabbitmq.connecting import connect
from service.adapters.sources.losses import asking, lost_by
from service.application.ports.sources import BrokerLost
from service.domain.broker_messages import BrokerMessage
from service.domain.limits import MAX_NAME_CHARACTERS, is_name
from service.domain.sources import RabbitMqOrigin, Source

FETCH_TIMEOUT_S = 1.0
PREFETCH = 768  # messages that the broker hands to one process before any is acknowledged
REFUSED = "relevo-refused"
_NOT_LET_IN = "The broker refused the user and password."
_GONE = "The connection to the broker was lost."
_ERRORS = (AMQPError, ChannelInvalidStateError)


class RabbitMqConsumer:
    """Fulfils `ports.SourceConsumer`."""

    def __init__(
        self, channel: AbstractChannel, letters: AbstractChannel, *, source: Source, origin: RabbitMqOrigin
    ) -> None:
        self._channel = channel
        self._letters = letters
        self._source = source
        self._origin = origin
        self._delivered: asyncio.Queue[DeliveredMessage] = asyncio.Queue()

    async def deliver(self, message: DeliveredMessage) -> None:
        """The broker hands out a message; as many as PREFETCH wait here."""
        self._delivered.put_nowait(message)

    async def fetch(self, most: int) -> list[BrokerMessage]:
        """Wait for messages, for about a second."""
        found: list[DeliveredMessage] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                found.append(await self._delivered.get())
        while found and len(found) < most and not self._delivered.empty():
            found.append(self._delivered.get_nowait())
        if self._channel.is_closed:
            raise BrokerLost(_GONE)
        return [_message(each, self._source, self._origin.queue) for each in found]

    async def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Acknowledge each."""
        with lost_by(*_ERRORS):
            for message in messages:
                await self._channel.basic_ack(_tag(message), wait=False)

    async def hold(self, messages: Sequence[BrokerMessage]) -> None:
        """Nothing: messages stay here while the channel is open."""

    async def bury(self, message: BrokerMessage, reason: str) -> None:
        """Publish it to the dead letters' exchange, from which it has to reach a queue."""
        if self._origin.dead_letter is None:
            return
        delivered = _delivered(message)
        properties = delivered.header.properties
        headers = {**(properties.headers or {}), REFUSED: reason}
        with lost_by(*_ERRORS):
            await self._letters.basic_publish(
                delivered.body,
                exchange=self._origin.dead_letter,
                routing_key=delivered.routing_key or "",
                properties=Basic.Properties(
                    content_type=properties.content_type,
                    delivery_mode=2,
                    message_id=properties.message_id,
                    headers=headers,
                ),
                mandatory=True,
            )

    async def lag(self) -> int | None:
        """What of the queue no process has been handed."""
        with asking(*_ERRORS):
            told = await self._letters.queue_declare(self._origin.queue, passive=True)
        return told.message_count


class RabbitMqConsumers:
    """Opens consumers. Fulfils `ports.OpenConsumer`."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    @asynccontextmanager
    async def __call__(self, source: Source, origin: RabbitMqOrigin) -> AsyncIterator[RabbitMqConsumer]:
        """A consumer of the queue while the block lasts. Raises BrokerLost."""
        connection = await self._connected(origin)
        try:
            with asking(*_ERRORS):
                letters = await connection.channel(publisher_confirms=True)
                channel = await connection.channel(publisher_confirms=False)
                opened = RabbitMqConsumer(channel, letters, source=source, origin=origin)
                await channel.basic_qos(prefetch_count=PREFETCH)
                await channel.basic_consume(origin.queue, opened.deliver)
            yield opened
        finally:
            with suppress(*_ERRORS, OSError, TimeoutError):
                await connection.close()

    async def _connected(self, origin: RabbitMqOrigin) -> AbstractConnection:
        try:
            return await connect(origin.uri, dialer=self._dialer, authorities=origin.ssl_root_cert)
        except (AuthenticationError, ProbableAuthenticationError):
            raise BrokerLost(_NOT_LET_IN) from None
        except AMQPError as error:
            with lost_by(*_ERRORS):
                raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
        except OSError as error:
            with lost_by():
                raise error from None


def _message(delivered: DeliveredMessage, source: Source, queue: str) -> BrokerMessage:
    properties = delivered.header.properties
    known = properties.message_id
    return BrokerMessage(
        body=bytes(delivered.body),
        headers={name.lower(): _text(value) for name, value in (properties.headers or {}).items()},
        position=f"{queue}-{known or hashlib.sha256(delivered.body).hexdigest()}",
        event_id=_event_id(source, known) if known else None,
        receipt=delivered,
    )


def _event_id(source: Source, message_id: str) -> str:
    """The message id, if it can be an event id; else a digest of it."""
    event_id = f"{source.id}-{message_id}"
    if len(event_id) <= MAX_NAME_CHARACTERS and is_name(event_id):
        return event_id
    return f"{source.id}-{hashlib.sha256(message_id.encode()).hexdigest()}"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def _delivered(message: BrokerMessage) -> DeliveredMessage:
    if not isinstance(message.receipt, DeliveredMessage):
        raise TypeError("the message came of another kind of broker")
    return message.receipt


def _tag(message: BrokerMessage) -> int:
    delivery = _delivered(message).delivery
    if not isinstance(delivery, Basic.Deliver) or delivery.delivery_tag is None:
        raise TypeError("the message was not delivered by a consumer")
    return delivery.delivery_tag
