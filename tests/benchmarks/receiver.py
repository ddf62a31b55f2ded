"""A receiver of webhooks, quick and honest: it keeps what came and checks every signature when it is asked to report.

`/after/20` answers after 20 ms, `/second` answers 500 to a message's first call, `/closing` closes the connection.
`POST /forget` starts afresh, `GET /count` counts, `GET /report` checks, `GET /arrivals` lists. With a certificate it
listens with TLS as well.
"""

import base64
import hashlib
import hmac
import re
import sys

import orjson

from tests.benchmarks.listener import Reply, listen
from tests.benchmarks.wire import now_ns

_STAMPED = re.compile(rb'"at": ?"(\d{20})"')
_SIGNED = re.compile(rb"\r\n(?:webhook|svix)-(id|timestamp|signature): ?([^\r]*)", re.IGNORECASE)


class Receiver:
    """What has arrived since it last forgot."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._calls: list[tuple[int, bytes, bytes]] = []
        self._failed: set[tuple[bytes, bytes]] = set()

    def handle(self, method: str, path: str, head: bytes, body: bytes) -> Reply:
        """Keep a call, or answer about those that were kept."""
        match method, path.strip("/").split("/"):
            case "POST", ["forget"]:
                self._calls.clear()
                return Reply()
            case "GET", ["count"]:
                return Reply(b"%d" % len(self._calls))
            case "GET", ["report"]:
                return Reply(orjson.dumps(self._report()))
            case "GET", ["arrivals"]:
                return Reply(orjson.dumps(self._arrivals()))
            case _, behaviour:
                self._calls.append((now_ns(), head, body))
                return self._reply(behaviour, head)

    def _reply(self, behaviour: list[str], head: bytes) -> Reply:
        match behaviour:
            case ["after", milliseconds, *_]:
                return Reply(delay=int(milliseconds) / 1000)
            case ["second", *_]:
                return Reply(status=200 if self._is_second(head) else 500)
            case ["closing", *_]:
                return Reply(closes=True)
            case _:
                return Reply()

    def _is_second(self, head: bytes) -> bool:
        fields, path = _signature(head)
        call = fields.get(b"id", b""), path
        if call in self._failed:
            return True
        self._failed.add(call)
        return False

    def _report(self) -> dict[str, object]:
        arrived = [at for at, _, _ in self._calls]
        signed = [(_signature(head), body) for _, head, body in self._calls]
        return {
            "calls": len(self._calls),
            "distinct": len({(fields.get(b"id", b""), path) for (fields, path), _ in signed}),
            "verified": sum(self._holds(fields, body) for (fields, _), body in signed),
            "per_second": _rate(arrived),
            "delays_ms": _delays(self._calls),
        }

    def _arrivals(self) -> list[tuple[int, int, str, bool]]:
        """The stamp of each call's payload, the moment it arrived, its path, and whether its signature holds."""
        return [
            (int(stamped[1]), at, path.decode(), self._holds(fields, body))
            for at, head, body in self._calls
            if (stamped := _STAMPED.search(body))
            for fields, path in [_signature(head)]
        ]

    def _holds(self, fields: dict[bytes, bytes], body: bytes) -> bool:
        signed = b"%s.%s.%s" % (fields.get(b"id", b""), fields.get(b"timestamp", b""), body)
        wanted = b"v1," + base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256))
        return any(hmac.compare_digest(wanted, given) for given in fields.get(b"signature", b"").split())


def _signature(head: bytes) -> tuple[dict[bytes, bytes], bytes]:
    fields = {name.lower(): value for name, value in _SIGNED.findall(head)}
    return fields, head.split(b" ", 2)[1]


def _rate(arrived: list[int]) -> float:
    """Calls a second between the first tenth and the last, where neither the start nor the end is slow."""
    first, last = len(arrived) // 10, len(arrived) * 9 // 10
    return (last - first) / ((arrived[last] - arrived[first]) / 1e9) if last > first else 0.0


def _delays(calls: list[tuple[int, bytes, bytes]]) -> dict[str, float]:
    """From the stamp in the payload to the arrival here."""
    stamps = [(at, stamped) for at, _, body in calls if (stamped := _STAMPED.search(body))]
    delays = sorted((at - int(stamped[1])) / 1e6 for at, stamped in stamps)
    if not delays:
        return {}
    return {f"p{share}": delays[min(len(delays) * share // 100, len(delays) - 1)] for share in (50, 95, 99)}


if __name__ == "__main__":
    listen(Receiver(bytes.fromhex(sys.argv[1])).handle, certificate=next(iter(sys.argv[2:]), None))
