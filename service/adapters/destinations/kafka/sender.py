"""Appends batches to a topic of Kafka by an idempotent producer: acknowledged by all replicas, once, in order."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from service.adapters.destinations import records
from service.adapters.destinations.conversation import Unreadable, conversation, unreadable
from service.adapters.destinations.kept import KeptConnections, pipelined
from service.adapters.destinations.network import Dialer, explain, tls
from service.adapters.destinations.results import NotNow, Told
from service.domain.batches import Batch, StreamMessage
from service.domain.outcomes import NO_ANSWER, ErrorType
from service.domain.sinks import KafkaSink, SinkKind

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from service.adapters.destinations.kafka.network import Network

# Below what a broker takes of a producer's batch by default (1 MiB), and enough for hundreds of messages.
_BATCH_BYTES = 256 * 1024
# The brokers decide what is too large.
_LARGEST_REQUEST = 64 * 1024 * 1024
# Of a batch's time, so that Kafka's own error comes before the end of it.
_REQUEST_SHARE = 0.8

_NOT_LET_IN = "The broker refused the user and password."
_NO_TOPIC = "The cluster has no such topic, or the user may not know of it."


@dataclass(frozen=True, slots=True)
class KafkaLink:
    """A producer, and what opens its connections."""

    producer: "AIOKafkaProducer"
    network: "Network"


class KafkaSender(KeptConnections[KafkaSink, KafkaLink]):
    """Appends a batch without waiting between its messages, then waits for their acknowledgements.

    A producer whose batch failed is given up with all that it still holds, so that nothing of it arrives after the
    next try.
    """

    kind = SinkKind.KAFKA

    def __init__(self, dialer: Dialer, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._dialer = dialer

    async def _open(self, sink: KafkaSink) -> KafkaLink:
        from aiokafka.errors import KafkaError

        link = _link(sink, self._dialer, request_timeout_ms=max(1, round(self._timeout * 1000 * _REQUEST_SHARE)))
        try:
            # Sooner than the caller gives up, so that what is behind it can be told.
            async with asyncio.timeout(self._timeout * _REQUEST_SHARE):
                with conversation(KafkaError):
                    await link.producer.start()
        except BaseException as error:  # noqa: BLE001  # raised again, in words for the tenant
            await _give_up(link.producer)
            raise _told(error, link.network) from None
        return link

    async def _publish(self, connection: KafkaLink, sink: KafkaSink, batch: Batch, *, deadline: float) -> None:
        from aiokafka.errors import KafkaError

        async def publish(message: StreamMessage) -> "asyncio.Future[Any]":
            key = records.key(message, sink.key) or str(batch.app_id)
            told = [(name, value.encode()) for name, value in records.headers(batch, message).items()]
            append = connection.producer.send(sink.topic, message.payload, key=key.encode(), headers=told)
            return cast("asyncio.Future[Any]", await append)

        taken, error = await pipelined(batch.messages, publish, deadline=deadline, own=(KafkaError,))
        if error is not None:
            raise _told(error, connection.network, taken=taken) from None

    async def _end(self, connection: KafkaLink) -> None:
        await _give_up(connection.producer)

    def _usable(self, connection: KafkaLink) -> bool:
        return not connection.producer._sender.sender_task.done()  # noqa: SLF001  # no public way to it


def _link(sink: KafkaSink, dialer: Dialer, *, request_timeout_ms: int) -> KafkaLink:
    from aiokafka import AIOKafkaProducer

    from service.adapters.destinations.kafka.network import Network

    connections = security(sink)
    producer = AIOKafkaProducer(
        bootstrap_servers=list(sink.bootstrap_servers),
        client_id="relevo",
        enable_idempotence=True,
        acks="all",
        max_batch_size=_BATCH_BYTES,
        max_request_size=_LARGEST_REQUEST,
        request_timeout_ms=request_timeout_ms,
    )
    network = Network(producer.client, dialer, client_id="relevo", request_timeout_ms=request_timeout_ms, **connections)
    return KafkaLink(producer, network)


def security(sink: KafkaSink) -> dict[str, Any]:
    """TLS and login, as options of aiokafka's connections."""
    encrypted = sink.tls or sink.ssl_root_cert is not None
    protocol = "SSL" if encrypted else "PLAINTEXT"
    return {
        "security_protocol": f"SASL_{protocol}" if sink.sasl_mechanism else protocol,
        "ssl_context": tls(sink.ssl_root_cert) if encrypted else None,
        "sasl_mechanism": sink.sasl_mechanism,
        "sasl_plain_username": sink.username,
        "sasl_plain_password": sink.password,
    }


async def _give_up(producer: "AIOKafkaProducer") -> None:
    """Close its connections without sending what it holds."""
    producer._closed = True  # noqa: SLF001  # `stop` would send it first
    await producer._sender.close()  # noqa: SLF001  # as above
    await producer.client.close()


def _told(error: BaseException, network: "Network", *, taken: int = 0) -> BaseException:
    """What the tenant is told of an error. Kafka's own sentences name topics and brokers, never passwords."""
    from aiokafka import errors

    if isinstance(error, errors.CorrelationIdError):
        error = unreadable(error)
    for unread in (error, error.__cause__):
        if isinstance(unread, Unreadable):
            return Told(ErrorType.MALFORMED, unread.text, taken=taken)
    for kinds, error_type, text in (
        (errors.UnknownTopicOrPartitionError, ErrorType.REFUSED, _NO_TOPIC),
        ((errors.SaslAuthenticationFailed, errors.AuthenticationFailedError), ErrorType.REFUSED, _NOT_LET_IN),
        (errors.MessageSizeTooLargeError, ErrorType.REFUSED, "The message is larger than the topic takes."),
    ):
        if isinstance(error, kinds):
            return Told(error_type, text, taken=taken)
    if isinstance(error, (errors.NotEnoughReplicasError, errors.NotEnoughReplicasAfterAppendError)):
        return NotNow("Too few replicas of the partition are there to take anything.", taken=taken)
    if isinstance(
        error, (TimeoutError, errors.KafkaTimeoutError, errors.RequestTimedOutError, errors.KafkaConnectionError)
    ):
        behind = explain(network.failure) if network.failure is not None else None
        lost = (
            ErrorType.RESET if isinstance(network.failure or error, errors.KafkaConnectionError) else ErrorType.TIMEOUT
        )
        return Told(*(behind or (lost, NO_ANSWER[lost])), taken=taken)
    if isinstance(error, errors.KafkaError):
        return Told(ErrorType.REFUSED, f"The broker refused: {type(error).__name__}", taken=taken)
    return error
