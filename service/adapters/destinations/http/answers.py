"""A tolerant parser of HTTP/1 answers. Pure: bytes go in, a head and pieces of a body come out.

It accepts what most of curl, Go and Python's requests accept. Only an invalid status line makes an answer invalid.
Anything malformed after the status line costs the connection, never the status.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

MAX_HEAD_BYTES = 65_536
MAX_INTERIM_BYTES = 262_144
MAX_CHUNK_LINE_BYTES = 4_096
HIGH_WATER_BYTES = 16_384

_STATUS_LINE = re.compile(rb"HTTP/([0-9]\.[0-9]) +([1-9][0-9]{2})(?=[ \t\r\n]|$)")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(r"\+?([0-9]{1,18})").fullmatch
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL).fullmatch
_SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({101, 204, 304})
_BLANKS = frozenset({" ", "\t"})

_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})

Headers = list[tuple[str, str]]


class Malformed(Exception):
    """The answer cannot be parsed further."""


class Head(NamedTuple):
    """Status and headers, in Latin-1. Names are lower case, values are stripped of blanks."""

    version: bytes
    status: int
    headers: Headers

    def framing(self) -> dict[str, list[str]]:
        """The items, in lower case, of the comma-separated headers that say where the answer ends and what becomes of
        the connection."""
        said: dict[str, list[str]] = {}
        for name, value in self.headers:
            if name in _FRAMING:
                said.setdefault(name, []).extend([item.strip(" \t").lower() for item in value.split(",")])
        return said


class AnswerReader:
    """Parses one answer, with any interim (1xx) answers before it and unsolicited bytes after it.

    `head` is None until it has arrived. `complete` means that the whole body was read, `reusable` that the
    connection may carry another exchange, `full` that 16 KiB of the body wait to be taken.
    """

    def __init__(self) -> None:
        self.head: Head | None = None
        self.complete = False
        self._keeps_alive = False
        self._buffer = bytearray()
        self._body = bytearray()
        self._seen = 0
        self._interim = 0
        self._left = 0
        self._behind_chunk = False
        self._read_body: Callable[[], None] = self._read_to_the_end

    @property
    def full(self) -> bool:
        """Whether the body should be taken before more is fed."""
        return len(self._body) >= HIGH_WATER_BYTES

    @property
    def reusable(self) -> bool:
        """Whether the connection may be used again: the answer was well formed, and no bytes are left."""
        return self.complete and self._keeps_alive and not self._buffer

    def feed(self, data: bytes) -> None:
        """Parse these bytes. Raises Malformed."""
        self._buffer += data
        if self.head is not None or self._found_head():
            self._read_body()

    def end(self) -> None:
        """The connection has ended. That completes a body without a length, and no other."""
        self._keeps_alive = False
        if self.head is not None and self._read_body == self._read_to_the_end:
            self.complete = True

    def give_up(self) -> None:
        """The answer broke off. If a status line has arrived, the head is made of the bytes so far."""
        self._keeps_alive = False
        known = bytes(self._buffer[:MAX_HEAD_BYTES])
        self._buffer.clear()
        if self.head is None and b"\n" in known:
            self._set_head(known[: known.rindex(b"\n")])

    def take(self) -> bytes:
        """The part of the body that has arrived since the last call. Raises Malformed."""
        if self._buffer and not self._body and not self.complete and self.head is not None:
            self._read_body()
        taken = bytes(self._body)
        self._body.clear()
        return taken

    def _found_head(self) -> bool:
        while (end := self._end_of_head()) is not None:
            self._set_head(bytes(self._buffer[: end.start()]))
            del self._buffer[: end.end()]
            self._seen = 0
            if self.head is not None:
                self._choose_body(self.head)
                return True
            self._interim += end.end()
            if self._interim > MAX_INTERIM_BYTES:
                raise Malformed("Too many interim answers.")
        return False

    def _end_of_head(self) -> re.Match[bytes] | None:
        """The end of the head, None if it has not arrived. Malformed when it is too long or not a head."""
        buffer = self._buffer
        if not buffer.startswith(b"HTTP/"[: len(buffer)]):
            raise Malformed("No status line.")
        end = _END_OF_HEAD.search(buffer, max(self._seen - 2, 0))
        self._seen = len(buffer)
        if end is None and len(buffer) <= MAX_HEAD_BYTES:
            return None
        if end is None or end.end() > MAX_HEAD_BYTES:
            self._cut_head()
            raise Malformed("Too long a head.")
        return end

    def _cut_head(self) -> None:
        """Cut an overlong head, so that its status line can still be read."""
        del self._buffer[MAX_HEAD_BYTES:]
        if b"\n" not in self._buffer:
            self._buffer[-1:] = b"\n"

    def _set_head(self, text: bytes) -> None:
        """Set the head, except for an interim answer, which is dropped."""
        status_line, _, rest = text.partition(b"\n")
        found = _STATUS_LINE.match(status_line)
        if found is None:
            raise Malformed("No status line.")
        status = int(found[2])
        if status >= 200 or status == _SWITCHING_PROTOCOLS:
            self.head = Head(found[1], status, _headers(rest.decode("latin-1").split("\n")) if rest else [])

    def _choose_body(self, head: Head) -> None:
        framing = head.framing()
        lengths, codings = framing.get("content-length", ()), framing.get("transfer-encoding", ())
        self._keeps_alive = _keeps_alive(head.version, framing.get("connection", ()))
        if head.status in _BODILESS:
            framed = bool(codings) or lengths not in ((), ["0"]) or head.status == _SWITCHING_PROTOCOLS
            self._keeps_alive = self._keeps_alive and not framed
            self._left, self._read_body = 0, self._read_length
        elif "chunked" in codings:
            self._keeps_alive = self._keeps_alive and not lengths and codings == ["chunked"]
            self._read_body = self._read_chunks
        elif lengths:
            self._keeps_alive = self._keeps_alive and not codings
            self._left, self._read_body = _one_length(lengths), self._read_length
        else:
            self._keeps_alive = False

    def _read_length(self) -> None:
        self._move()
        self.complete = not self._left

    def _read_to_the_end(self) -> None:
        self._body += self._buffer
        self._buffer.clear()

    def _read_chunks(self) -> None:
        while not self.complete and not self.full:
            if self._left:
                self._move()
                if self._left:
                    return
                self._behind_chunk = True
            line = self._line()
            if line is None:
                return
            if self._behind_chunk:
                if line:
                    raise Malformed("A chunk is longer than it says.")
                self._behind_chunk = False
                continue
            self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        size = _CHUNK_SIZE(line)
        if size is None:
            raise Malformed("A chunk without a size.")
        self._left = int(size[1], 16)
        if not self._left:
            # The body is complete. Trailers are ignored, and cost the connection.
            self.complete = True
            end = 2 if self._buffer.startswith(b"\r\n") else 1 if self._buffer.startswith(b"\n") else 0
            self._keeps_alive = self._keeps_alive and end > 0
            del self._buffer[:end]

    def _move(self) -> None:
        piece = self._buffer[: self._left]
        self._body += piece
        self._left -= len(piece)
        del self._buffer[: len(piece)]

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, MAX_CHUNK_LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_CHUNK_LINE_BYTES:
                raise Malformed("Too long a line before a chunk.")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")


def _headers(lines: Iterable[str]) -> Headers:
    """Name and value of every line that has both; a folded line continues the one before it."""
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if line[:1] in _BLANKS and headers:
            before, begun = headers[-1]
            headers[-1] = (before, (begun + " " + line.strip(" \t\r")).strip(" \t\r"))
        elif colon:
            headers.append((name.strip(" \t").lower(), value.strip(" \t\r")))
    return headers


def _keeps_alive(version: bytes, options: Sequence[str]) -> bool:
    if version == b"1.1":
        return "close" not in options
    return version == b"1.0" and "keep-alive" in options


def _one_length(lengths: Sequence[str]) -> int:
    """The length of the body; Malformed when values differ or are not a number."""
    length = _LENGTH(lengths[0])
    if length is None or len(set(lengths)) > 1:
        raise Malformed("The length of the body is not clear.")
    return int(length[1])
