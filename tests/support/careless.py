"""A peer that speaks Outpost's API and is careless: it refuses, loses and doubles, and counts what it did."""

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

TOKEN = "an API key"
REFUSES, LOSES, DOUBLES = 11, 7, 5  # every so manieth


class CarelessOutpost(ThreadingHTTPServer):
    """`did` has how often it `accepted`, `refused`, `lost` and `doubled`; its destinations are by tenant."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.did: Counter[str] = Counter()
        self.destinations: dict[str, list[dict[str, Any]]] = {}
        self.events, self.deliveries = itertools.count(1), itertools.count(1)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, event: dict[str, Any]) -> int:
        """Deliver an event, before it is answered, to those who want its topic; the status to answer."""
        if (number := next(self.events)) % REFUSES == 0:
            self.did["refused"] += 1
            return 503
        self.did["accepted"] += 1
        for destination in self.destinations[event["tenant_id"]]:
            if event["topic"] in destination["topics"]:
                self._deliver(destination, f"evt_{number}", json.dumps(event["data"]).encode())
        return 202

    def _deliver(self, destination: dict[str, Any], event_id: str, body: bytes) -> None:
        number = next(self.deliveries)
        if number % LOSES == 0:
            self.did["lost"] += 1
            return
        _call(destination, event_id, body)
        if number % DOUBLES == 0:
            self.did["doubled"] += 1
            _call(destination, event_id, body)


@contextmanager
def careless_outpost() -> Iterator[CarelessOutpost]:
    """One that runs while the block lasts."""
    with CarelessOutpost() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CarelessOutpost

    def do_PUT(self) -> None:
        self._take({})

    def do_POST(self) -> None:
        self._take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Nothing."""

    def _take(self, body: dict[str, Any]) -> None:
        self._answer(self._status(body) if self.headers["Authorization"] == f"Bearer {TOKEN}" else 401)

    def _status(self, body: dict[str, Any]) -> int:
        match self.command, self.path.strip("/").split("/")[2:]:
            case "PUT", ["tenants", tenant]:
                self.server.destinations[tenant] = []
                return 201
            case "POST", ["tenants", tenant, "destinations"]:
                self.server.destinations[tenant].append(body)
                return 201
            case "POST", ["publish"]:
                return self.server.publish(body)
            case _:
                return 404

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


def _call(destination: dict[str, Any], event_id: str, body: bytes) -> None:
    """As Standard Webhooks have it."""
    address, at = urlsplit(destination["config"]["url"]), f"{time.time():.0f}"
    key = base64.b64decode(destination["credentials"]["secret"].removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event_id}.{at}.".encode() + body, hashlib.sha256)
    signed = f"v1,{base64.b64encode(digest).decode()}"
    headers = {"webhook-id": event_id, "webhook-timestamp": at, "webhook-signature": signed}
    connection = http.client.HTTPConnection(address.netloc)
    connection.request("POST", address.path, body, headers)
    connection.getresponse().read()
    connection.close()
