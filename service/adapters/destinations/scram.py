"""How many iterations of SCRAM a server may ask for: it is the server's choice how long we compute, before it has shown
that it knows the password."""

import re
import struct

from service.adapters.destinations.conversation import Unreadable

# Some fifty times what PostgreSQL and Kafka ask for by default (4,096), and 50 to 200 ms of a processor.
MOST_ITERATIONS = 200_000
TOO_MANY = f"The server asks for more than {MOST_ITERATIONS:,} iterations of SCRAM, which is refused."

_DIGITS = len(str(MOST_ITERATIONS))
_ASKED = re.compile(rb"i=0*([0-9]+)")
_AUTHENTICATION = ord("R")
_DONE, _CHALLENGE = 0, 11


def check(iterations: bytes) -> None:
    """Raises Unreadable when these digits are too many iterations."""
    if len(iterations) > _DIGITS or int(iterations) > MOST_ITERATIONS:
        raise Unreadable(TOO_MANY)


class SignIn:
    """Watches a server of PostgreSQL until it has let us in: its client computes whatever it is asked for, on the event
    loop."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._watching = True

    def __call__(self, data: bytes) -> None:
        """What the server says, before the client hears it. Raises Unreadable."""
        if not self._watching:
            return
        self._unread += data
        while self._watching and len(self._unread) >= 5:
            kind, length = struct.unpack_from(">BI", self._unread)
            if len(self._unread) <= length:
                return
            self._read(kind, bytes(self._unread[5 : length + 1]))
            del self._unread[: max(length, 4) + 1]

    def _read(self, kind: int, body: bytes) -> None:
        if kind != _AUTHENTICATION or len(body) < 4:
            return
        (code,) = struct.unpack_from(">I", body)
        if code == _CHALLENGE:
            for asked in _ASKED.findall(body):
                check(asked)
        elif code == _DONE:
            self._watching = False
            self._unread.clear()
