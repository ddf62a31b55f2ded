"""Reads a JetStream stream through a durable pull consumer, which all processes share."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from service.adapters.destinations.nats.sender import connect
from service.adapters.destinations.network import Dialer
from service.adapters.sources.losses import asking, lost_by
from service.application.ports.sources import BrokerLost
from service.domain.broker_messages import BrokerMessage
from service.domain.sources import NatsOrigin, Source

FETCH_TIMEOUT_S = 1.0
REQUEST_TIMEOUT_S = 10.0
ACK_WAIT_S = 30.0  # until a message that nobody acknowledges is delivered again
MAX_ACK_PENDING = 20_000  # of a consumer that is created, for all processes together
REFUSED = "Relevo-Refused"
_GONE = "The connection to the server was lost."


class NatsConsumer:
    """Fulfils `ports.SourceConsumer`."""

    def __init__(
        self,
        client: Client,
        stream: JetStreamContext,
        pulled: JetStreamContext.PullSubscription,
        *,
        source: Source,
        origin: NatsOrigin,
    ) -> None:
        self._client = client
        self._stream = stream
        self._pulled = pulled
        self._source = source
        self._origin = origin

    async def fetch(self, most: int) -> list[BrokerMessage]:
        """Wait for messages, for about a second."""
        try:
            with asking(NatsError):
                found = await self._pulled.fetch(most, timeout=FETCH_TIMEOUT_S)
        except BrokerLost as lost:
            if not isinstance(lost.__cause__, TimeoutError):
                raise
            found = []
        if self._client.is_closed:
            raise BrokerLost(_GONE)
        return [_message(each, self._source) for each in found]

    async def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Acknowledge each. What gets lost on the way is delivered again, and known by its event id."""
        with lost_by(NatsError):
            for message in messages:
                await _received(message).ack()

    async def hold(self, messages: Sequence[BrokerMessage]) -> None:
        """Begin each one's wait for its acknowledgement anew."""
        with lost_by(NatsError):
            for message in messages:
                await _received(message).in_progress()

    async def bury(self, message: BrokerMessage, reason: str) -> None:
        """Publish it to the dead letters' subject, which a stream has to take."""
        subject = self._origin.dead_letter
        if subject is None:
            return
        received = _received(message)
        headers = {**(received.headers or {}), "Nats-Msg-Id": message.position, REFUSED: " ".join(reason.split())}
        with lost_by(NatsError):
            await self._stream.publish(subject, received.data, headers=headers, timeout=REQUEST_TIMEOUT_S)

    async def lag(self) -> int | None:
        """What the consumer has not delivered, and what it delivered that nobody acknowledged yet."""
        with asking(NatsError):
            info = await self._pulled.consumer_info()
        return (info.num_pending or 0) + (info.num_ack_pending or 0)


class NatsConsumers:
    """Opens consumers. Fulfils `ports.OpenConsumer`."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    @asynccontextmanager
    async def __call__(self, source: Source, origin: NatsOrigin) -> AsyncIterator[NatsConsumer]:
        """A consumer while the block lasts. The durable one is created if it does not exist. Raises BrokerLost."""
        client = await self._connected(origin)
        try:
            with asking(NatsError):
                stream = client.jetstream(timeout=REQUEST_TIMEOUT_S)
                pulled = await _pulled(stream, origin)
            yield NatsConsumer(client, stream, pulled, source=source, origin=origin)
        finally:
            # The last acknowledgements.
            with suppress(NatsError, OSError, TimeoutError):
                await client.flush(timeout=1)
            await client.close()

    async def _connected(self, origin: NatsOrigin) -> Client:
        with lost_by(NatsError):
            link = await connect(
                origin.servers,
                dialer=self._dialer,
                authorities=origin.ssl_root_cert,
                user=origin.username,
                password=origin.password,
                token=origin.token,
            )
        return link.client


async def _pulled(stream: JetStreamContext, origin: NatsOrigin) -> JetStreamContext.PullSubscription:
    try:
        info = await stream.consumer_info(origin.stream, origin.consumer)
    except NotFoundError:
        config = ConsumerConfig(
            durable_name=origin.consumer,
            filter_subject=origin.subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=MAX_ACK_PENDING,
        )
        info = await stream.add_consumer(origin.stream, config)
    if info.config.deliver_subject is not None or info.config.ack_policy != AckPolicy.EXPLICIT:
        raise BrokerLost(f"The consumer {origin.consumer} is not one that is pulled with explicit acknowledgements.")
    return await stream.pull_subscribe_bind(consumer=origin.consumer, stream=origin.stream)


def _message(received: Msg, source: Source) -> BrokerMessage:
    told = received.metadata
    # With the time at which the stream took it: a stream that is made anew counts from 1 again.
    stamp = int(told.timestamp.timestamp() * 1000)
    return BrokerMessage(
        body=received.data,
        headers={name.lower(): value for name, value in (received.headers or {}).items()},
        position=f"{told.stream}-{told.sequence.stream}-{stamp}",
        event_id=f"{source.id}-{told.sequence.stream}-{stamp}",
        receipt=received,
    )


def _received(message: BrokerMessage) -> Msg:
    if not isinstance(message.receipt, Msg):
        raise TypeError("the message came of another kind of broker")
    return message.receipt
