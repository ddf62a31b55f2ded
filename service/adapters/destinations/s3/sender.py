"""Puts batches into a bucket: one object a batch, of lines of JSON, compressed. A repeated batch is the same object.

It goes over the connections of the HTTP sender, which guard the addresses called.
"""

import asyncio
import gzip
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx

from service.adapters.destinations import records
from service.adapters.destinations.http import outcomes
from service.adapters.destinations.http.egress import tell_operator
from service.adapters.destinations.s3.signature import encoded, signed
from service.domain.batches import Batch, BatchResult
from service.domain.outcomes import Taken
from service.domain.sinks import S3Sink

_DIGITS = 20  # of a position, so that objects are listed in order


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object goes: scheme, host and path, not yet encoded."""

    scheme: str
    host: str
    path: str

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.host}{encoded(self.path)}"


class S3Sender:
    """`timeout` (seconds) bounds everything from resolving the name to the last byte of the answer."""

    def __init__(self, client: httpx.AsyncClient, *, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    async def send(self, sink: S3Sink, batch: Batch) -> BatchResult:
        """Put the batch as one object. It is taken whole or not at all."""
        started = time.perf_counter()
        place, body = place_of(sink, object_key(batch)), contents(batch)
        try:
            async with asyncio.timeout(self._timeout):
                status, headers, told = await self._put(place, sink, body)
        except (*outcomes.POSSIBLE, httpx.TransportError) as error:
            failure = outcomes.explain(error)
            if failure is outcomes.EGRESS:
                tell_operator(urlsplit(place.url).hostname or "")
            return BatchResult(taken=0, outcome=outcomes.unanswered(failure, sent=(), duration=_since(started)))
        outcome = outcomes.answered(status, headers, told, sent=(), duration=_since(started))
        return BatchResult(taken=len(batch.messages) if isinstance(outcome, Taken) else 0, outcome=outcome)

    async def _put(self, place: Place, sink: S3Sink, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = signed(
            "PUT",
            host=place.host,
            path=place.path,
            headers={"content-type": "application/x-ndjson", "content-encoding": "gzip"},
            body=body,
            access_key_id=sink.access_key_id,
            secret_access_key=sink.secret_access_key,
            region=sink.region,
            at=datetime.now(UTC),
        )
        told = bytearray()
        async with self._client.stream("PUT", place.url, content=body, headers=headers) as answer:
            async for piece in answer.aiter_raw():
                told += piece
                if len(told) > outcomes.MAX_BODY_BYTES:
                    break
        return answer.status_code, answer.headers.multi_items(), bytes(told)


def object_key(batch: Batch) -> str:
    """The application's id, the destination's, and the positions of the first and last message."""
    first, last = (f"{batch.messages[place].position:0{_DIGITS}d}" for place in (0, -1))
    return f"{batch.app_id}/{batch.destination_id}/{first}-{last}.ndjson.gz"


def contents(batch: Batch) -> bytes:
    """The same bytes for the same messages: no time of making within."""
    return gzip.compress(b"".join(map(records.line, batch.messages)), mtime=0)


def place_of(sink: S3Sink, key: str) -> Place:
    """Below `endpoint_url` by path. At Amazon by the bucket's own host, or by path where its name has dots, which no
    certificate of Amazon's covers."""
    if sink.endpoint_url is not None:
        url = urlsplit(sink.endpoint_url)
        return Place(url.scheme, url.netloc, f"{url.path.rstrip('/')}/{sink.bucket}/{key}")
    host = f"s3.{sink.region}.amazonaws.com"
    if "." in sink.bucket:
        return Place("https", host, f"/{sink.bucket}/{key}")
    return Place("https", f"{sink.bucket}.{host}", f"/{key}")


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)
