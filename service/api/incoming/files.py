"""A file that arrives in pieces, gzip or not, as numbered lines. Holds a bounded part of it, however large it is."""

import zlib
from collections.abc import Iterator

from service.domain.errors import UnreadableFile
from service.domain.imports import MAX_BLANK_LINES
from service.domain.limits import MAX_BODY_BYTES

A_PIECE = 256 * 1024
# JSON unpacks to ten or twenty times its size as gzip; what was made to keep a thread busy, to a thousand times.
MOST_UNPACKED, TIMES_PACKED = 128 * 1024 * 1024, 100
# Files of gzip that were joined into one; compressors that write blocks make them of 64 KiB.
MOST_JOINED, EACH_JOINED = 5_000, 1024
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
_BOM = b"\xef\xbb\xbf"

_KINDS = {
    b"[": "a JSON array",
    b"--": "a form with several parts",
    b"PK\x03\x04": "a ZIP file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

NumberedLine = tuple[int, bytes | None]


class LineReader:
    """`push` what arrived, then `take` lines until there is None; `end` when nothing more comes.

    A line that is longer than any message may be comes as None in its place. Blank lines count, and are left out.
    """

    def __init__(self) -> None:
        self._arrived = b""
        self._packed = self._unpacked = self._joined = 0
        self._decoded = bytearray()
        self._gzip: zlib._Decompress | None = None
        self._begun = False
        self._ended = False
        self._number = 0
        self._too_long = False
        self._blanks = 0
        self._has_lines = False

    def push(self, piece: bytes) -> int:
        """More of the file. Answers how many bytes wait to be taken."""
        self._arrived += piece
        self._packed += len(piece)
        return len(self._arrived)

    def end(self) -> None:
        """That was all of it."""
        self._ended = True

    def take(self) -> list[NumberedLine] | None:
        """Some more lines, perhaps none of them of interest; None when more has to arrive. UnreadableFile."""
        piece = self._decode()
        if piece is None:
            return self._last() if self._ended else None
        self._decoded += piece
        return list(self._complete())

    def _decode(self) -> bytes | None:
        if not self._begun and not self._begin():
            return None
        if not self._arrived:
            return None
        if self._gzip is None:
            piece, self._arrived = self._arrived[:A_PIECE], self._arrived[A_PIECE:]
            return piece
        return self._inflate(self._gzip)

    def _begin(self) -> bool:
        if len(self._arrived) < len(_GZIP) and not self._ended:
            return False
        self._begun = True
        if self._arrived.startswith(_GZIP):
            self._gzip = zlib.decompressobj(_GZIP_WINDOW)
        return True

    def _inflate(self, gzip: "zlib._Decompress") -> bytes:
        if gzip.eof:
            # Zeros may pad the end. Anything else is one more file: several may be joined, as `cat` joins them.
            self._arrived = self._arrived.lstrip(b"\0")
            if not self._arrived:
                return b""
            self._joined += 1
            if self._joined > MOST_JOINED + self._packed // EACH_JOINED:
                raise UnreadableFile(f"After line {self._number} the file is joined of too many small gzip files.")
            gzip = self._gzip = zlib.decompressobj(_GZIP_WINDOW)
        try:
            piece = gzip.decompress(self._arrived, A_PIECE)
        except zlib.error as error:
            raise UnreadableFile(f"After line {self._number} the file is not gzip.") from error
        self._unpacked += len(piece)
        if self._unpacked > MOST_UNPACKED + TIMES_PACKED * self._packed:
            raise UnreadableFile(
                f"After line {self._number} the file unpacks to more than {TIMES_PACKED} times its size."
            )
        self._arrived = gzip.unused_data if gzip.eof else gzip.unconsumed_tail
        return piece

    def _complete(self) -> Iterator[NumberedLine]:
        *lines, rest = self._decoded.split(b"\n")
        self._decoded = rest
        for line in lines:
            if line or self._too_long:
                yield from self._counted(bytes(line))
            else:
                self._number += 1
                self._blank()
        if len(self._decoded) > MAX_BODY_BYTES:
            self._too_long = True
            self._decoded.clear()

    def _counted(self, line: bytes) -> Iterator[NumberedLine]:
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(_BOM)
        if self._too_long or len(line) > MAX_BODY_BYTES:
            self._too_long = False
            yield self._number, None
        elif line.strip():
            self._refuse_other_kinds(line)
            yield self._number, line
        else:
            self._blank()

    def _blank(self) -> None:
        self._blanks += 1
        if self._blanks > MAX_BLANK_LINES:
            raise UnreadableFile(f"More than {MAX_BLANK_LINES:,} lines are blank. Send one message on each line.")

    def _refuse_other_kinds(self, line: bytes) -> None:
        """UnreadableFile for a file that has no messages on its lines, by how its first one begins."""
        begins, goes_on = line.strip(), not line.rstrip().endswith(b"]")
        kind = None if self._has_lines else next((kind for kind in _KINDS if begins.startswith(kind)), None)
        self._has_lines = True
        if kind is not None and (kind != b"[" or goes_on):
            raise UnreadableFile(f"This is {_KINDS[kind]}. Send one message on each line (JSON Lines), gzip or not.")

    def _last(self) -> list[NumberedLine] | None:
        if self._gzip is not None and not self._gzip.eof:
            raise UnreadableFile(f"After line {self._number} the file breaks off.")
        if not self._decoded and not self._too_long:
            return None
        line = bytes(self._decoded)
        self._decoded.clear()
        return list(self._counted(line))
