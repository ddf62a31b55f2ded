"""Puts batches into a bucket: one object a batch, of lines of JSON, compressed. A repeated batch is the same object.

It goes over the connections of the HTTP sender, which guard the addresses called, and its answers count as those of
receivers of webhooks do.
"""

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import httpx

from service.adapters.destinations import records
from service.adapters.destinations.http.client import connections_of
from service.adapters.destinations.http.requests import Request, written
from service.adapters.destinations.http.sender import exchanged
from service.adapters.destinations.http.targets import target_of
from service.adapters.destinations.s3.signature import encoded, signed
from service.domain.batches import Batch, BatchResult
from service.domain.outcomes import Taken
from service.domain.sinks import S3Sink

_DIGITS = 20  # of a position, so that objects are listed in order
# Not signed. An answer is shown to people, and is not decompressed.
_ASKED = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "Relevo"}


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
        self._connections = connections_of(client)
        self._timeout = timeout

    async def send(self, sink: S3Sink, batch: Batch) -> BatchResult:
        """Put the batch as one object. It is taken whole or not at all."""
        place, body = place_of(sink, object_key(batch)), contents(batch)
        put = partial(_put, place, sink, body)
        outcome = await exchanged(self._connections, put, url=place.url, timeout=self._timeout)
        return BatchResult(taken=len(batch.messages) if isinstance(outcome, Taken) else 0, outcome=outcome)


def _put(place: Place, sink: S3Sink, body: bytes) -> Request:
    headers = signed(
        "PUT",
        host=place.host,
        path=place.path,
        headers={"content-type": "application/x-ndjson", "content-encoding": "gzip"},
        body=body,
        access_key_id=sink.access_key_id.encode().decode("latin-1"),  # as UTF-8; the server knows no such key
        secret_access_key=sink.secret_access_key,
        region=sink.region,
        at=datetime.now(UTC),
    )
    target = target_of(httpx.URL(place.url))
    return Request(target, written("PUT", target, (_ASKED | headers).items(), body), sent=())


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
