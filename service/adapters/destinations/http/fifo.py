"""Sends batches to a receiver of webhooks, one after the other, over the connections of the endpoints' sender.

A destination of single messages gets each payload byte for byte, signed under the message's id. Any other gets a JSON
array, whose payloads are byte for byte what was submitted.
"""

import base64
from collections.abc import Sequence

import orjson

from service.adapters.destinations.http.sender import HttpSender
from service.application.ports.machine import Clock
from service.domain.batches import Batch, BatchResult, StreamMessage
from service.domain.destinations import HttpDestination, Parcel
from service.domain.ids import MessageId
from service.domain.outcomes import Taken
from service.domain.signatures import Signing
from service.domain.sinks import FifoSink


class FifoSender:
    """Fulfils `ports.BatchSender`. A batch is taken whole or not at all."""

    def __init__(self, sender: HttpSender, *, signing: Signing, clock: Clock) -> None:
        self._sender = sender
        self._signing = signing
        self._clock = clock

    async def send(self, sink: FifoSink, batch: Batch) -> BatchResult:
        """POST the batch once, within the attempt timeout."""
        destination = HttpDestination(url=sink.url, headers=sink.headers)
        outcome = await self._sender.send(destination, self._parcel(batch))
        return (
            BatchResult.whole(batch, outcome) if isinstance(outcome, Taken) else BatchResult(taken=0, outcome=outcome)
        )

    def _parcel(self, batch: Batch) -> Parcel:
        first = batch.messages[0]
        is_single = batch.size == len(batch.messages) == 1
        named = first.id if is_single else batch_id(batch.messages)
        body = first.payload if is_single else written(batch.messages)
        signed = self._signing.headers(batch.secrets, message_id=named, at=self._clock.now(), body=body)
        return Parcel(
            message_id=named,
            body=body,
            headers={**batch.headers, **signed},
            content_type=first.content_type if is_single else None,
        )


def batch_id(messages: Sequence[StreamMessage]) -> MessageId:
    """The id that a batch is signed under: the same for the same messages."""
    return MessageId(f"{messages[0].id}-{len(messages)}")


def written(messages: Sequence[StreamMessage]) -> bytes:
    """The messages as a JSON array."""
    return b"[" + b",".join(map(_written, messages)) + b"]"


def _written(message: StreamMessage) -> bytes:
    head = {
        "id": message.id,
        "eventType": message.event_type,
        "timestamp": message.created_at,
        "eventId": message.event_id,
        "channels": message.channels or None,
        "tags": message.tags or None,
    }
    if message.content_type is None:
        return orjson.dumps(head)[:-1] + b',"payload":' + message.payload + b"}"
    encoded = base64.b64encode(message.payload).decode()
    return orjson.dumps(head | {"contentType": message.content_type, "payloadBase64": encoded})
