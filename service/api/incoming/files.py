"""Reads an uploaded file, plain or gzip, as numbered lines, in bounded memory whatever its size."""

import zlib
from collections.abc import Iterator

from service.domain.errors import UnreadableFile
from service.domain.imports import MAX_BLANK_LINES
from service.domain.limits import MAX_BODY_BYTES

PIECE_BYTES = 256 * 1024
# Limits against decompression bombs: an unpacked file may have MAX_UNPACK_RATIO times its packed size, and so many
# bytes on top. JSON unpacks to 10 or 20 times its size, a bomb to 1000 times.
UNPACKED_BYTES_GRANTED, MAX_UNPACK_RATIO = 128 * 1024 * 1024, 100
# A file may consist of joined gzip files: one for each so many bytes, and so many on top. Compressors that write blocks
# make them of 64 KiB.
JOINED_FILES_GRANTED, BYTES_PER_JOINED_FILE = 5_000, 1024
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
    """Splits pieces into lines: `push` a piece, then `take` lines until None; `end` after the last piece.

    A line longer than MAX_BODY_BYTES is yielded as None. Blank lines are numbered, and left out.
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
        """Add a piece of the file. Returns how many bytes are not yet taken."""
        self._arrived += piece
        self._packed += len(piece)
        return len(self._arrived)

    def end(self) -> None:
        """Say that the file is complete."""
        self._ended = True

    def take(self) -> list[NumberedLine] | None:
        """The next lines, perhaps none; None when another piece is needed. UnreadableFile."""
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
            piece, self._arrived = self._arrived[:PIECE_BYTES], self._arrived[PIECE_BYTES:]
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
            # Zeros may pad the end. Anything else is another gzip file, joined as `cat` joins files.
            self._arrived = self._arrived.lstrip(b"\0")
            if not self._arrived:
                return b""
            self._joined += 1
            if self._joined > JOINED_FILES_GRANTED + self._packed // BYTES_PER_JOINED_FILE:
                raise UnreadableFile(f"After line {self._number} the file is joined of too many small gzip files.")
            gzip = self._gzip = zlib.decompressobj(_GZIP_WINDOW)
        try:
            piece = gzip.decompress(self._arrived, PIECE_BYTES)
        except zlib.error as error:
            raise UnreadableFile(f"After line {self._number} the file is not gzip.") from error
        self._unpacked += len(piece)
        if self._unpacked > UNPACKED_BYTES_GRANTED + MAX_UNPACK_RATIO * self._packed:
            raise UnreadableFile(
                f"After line {self._number} the file unpacks to more than {MAX_UNPACK_RATIO} times its size."
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
        """UnreadableFile if the first line begins like another format than JSON Lines."""
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
