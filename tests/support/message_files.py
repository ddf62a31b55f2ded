"""Files of messages as they are imported: lines that can be told apart, and every kind of line that is no message."""

import json
from collections.abc import Collection

EVENT_TYPE = "invoice.paid"

BROKEN = [
    b"{",
    b"[]",
    b"\xff",
    b'{"eventType": "invoice.paid"}',
    b'{"payload": {}}',
    b'{"eventType": "in voice", "payload": {}}',
    b'{"eventType": "invoice.paid", "payload": []}',
    b'{"eventType": "invoice.paid", "payload": {}, "channels": []}',
]


def line(number: int, **others: object) -> bytes:
    """A message whose payload is `{"id": number}`; `others` are further members of it."""
    return json.dumps({"eventType": EVENT_TYPE, "payload": {"id": number}, **others}).encode()


def lines(count: int, *, broken: Collection[int] = (), **others: object) -> bytes:
    """So many lines, numbered from 1; the `broken` ones in all the ways there are."""
    return b"".join(
        (BROKEN[number % len(BROKEN)] if number in broken else line(number, **others)) + b"\n"
        for number in range(1, count + 1)
    )
