"""A receiver of webhooks that only counts, for more calls than could be kept.

`GET /count` says how many came, and of how many messages.
"""

import re

import orjson

from tests.benchmarks.listener import Reply, listen

_ID = re.compile(rb"\r\nwebhook-id: ?([^\r]*)", re.IGNORECASE)


class Counter:
    """What has arrived."""

    def __init__(self) -> None:
        self._calls = 0
        self._messages: set[bytes] = set()

    def handle(self, method: str, path: str, head: bytes, _body: bytes) -> Reply:
        """Count a call, or say how many there were."""
        if (method, path) == ("GET", "/count"):
            return Reply(orjson.dumps({"calls": self._calls, "messages": len(self._messages)}))
        named = _ID.search(head)
        self._calls += 1
        self._messages.add(named[1] if named else b"")
        return Reply()


if __name__ == "__main__":
    listen(Counter().handle)
