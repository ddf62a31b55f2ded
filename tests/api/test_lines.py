"""Files in pieces as numbered lines: what a file may do to its reader, and how little memory it gets for it."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator

import pytest

from service.api.incoming.files import PIECE_BYTES, LineReader, NumberedLine
from service.domain.errors import UnreadableFile
from service.domain.limits import MAX_BODY_BYTES

LONG = 100 * 2**20  # bytes
BOUND = 4 * MAX_BODY_BYTES  # what has come of a line, its copies while it is split, and a piece


def read(file: Iterable[bytes]) -> Iterator[NumberedLine]:
    """The lines of a file that comes in these pieces, as an import reads them."""
    reader = LineReader()
    for piece in file:
        if reader.push(piece) >= PIECE_BYTES:
            yield from lines_until_starved(reader)
    reader.end()
    yield from lines_until_starved(reader)


def lines_until_starved(reader: LineReader) -> Iterator[NumberedLine]:
    while (lines := reader.take()) is not None:
        yield from lines


def one_long_line() -> Iterator[bytes]:
    for _ in range(LONG // 2**16):
        yield b"x" * 2**16
    yield b"\nthe next"


def zipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces as gzip, made while they are read."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    for piece in pieces:
        yield deflate.compress(piece)
    yield deflate.flush()


@pytest.mark.parametrize("file", [one_long_line(), zipped(one_long_line())], ids=["plain", "gzip"])
def test_a_line_of_a_hundred_megabytes_is_reported_without_being_held(file: Iterator[bytes]) -> None:
    tracemalloc.start()

    found = list(read(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == [(1, None), (2, b"the next")]
    assert peak < BOUND


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_lines_are_the_same_however_the_file_is_cut(size: int) -> None:
    file = b"\xef\xbb\xbfone\r\n\n  \ntwo\nthree"

    plain = list(read(file[first : first + size] for first in range(0, len(file), size)))
    joined = gzip.compress(file[:10]) + gzip.compress(file[10:])
    unzipped = list(read(joined[first : first + size] for first in range(0, len(joined), size)))

    assert plain == unzipped == [(1, b"one\r"), (4, b"two"), (5, b"three")]


@pytest.mark.parametrize("size", [1, 512, 2**20])
def test_zeros_that_pad_gzip_are_no_part_of_it_however_the_file_is_cut(size: int) -> None:
    file = gzip.compress(b"one\ntwo\n") + b"\0" * 1000 + gzip.compress(b"three") + b"\0" * 1000

    found = list(read(file[first : first + size] for first in range(0, len(file), size)))

    assert found == [(1, b"one"), (2, b"two"), (3, b"three")]


def cut(file: bytes) -> bytes:
    return file[: len(file) // 2]


def changed(file: bytes) -> bytes:
    return cut(file) + b"\xff" * 100 + file[len(file) // 2 :]


def followed_by_something_else(file: bytes) -> bytes:
    return file + b"and more"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (cut, r"After line \d+ the file breaks off"),
        (changed, r"After line \d+ the file is not gzip"),
        (followed_by_something_else, "After line 1999 the file is not gzip"),
    ],
)
def test_of_gzip_that_is_broken_the_lines_before_are_read_and_then_it_is_said(
    broken: Callable[[bytes], bytes], said: str
) -> None:
    chance = random.Random(7)
    numbered = [(number, chance.randbytes(500).hex().encode()) for number in range(1, 2001)]
    file = broken(gzip.compress(b"\n".join(line for _, line in numbered)))

    found: list[NumberedLine] = []
    with pytest.raises(UnreadableFile, match=said):
        found.extend(read(file[first : first + 65536] for first in range(0, len(file), 65536)))

    assert found[:900] == numbered[:900]


def test_a_bomb_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked_to_its_end() -> None:
    file = zipped(b" " * 2**20 + b"\n" for _ in range(1024))

    with pytest.raises(UnreadableFile, match=r"After line \d+ the file unpacks to more than 100 times its size"):
        list(read(file))

    assert list(file), "the rest was not looked at"


def test_gzip_that_is_joined_of_a_hundred_thousand_nothings_is_not_read_to_its_end() -> None:
    nothing = gzip.compress(b"")

    with pytest.raises(UnreadableFile, match=r"After line 1 .* too many small gzip files"):
        list(read([gzip.compress(b"{}\n"), *[nothing] * 100_000]))


def test_gzip_that_is_joined_of_blocks_is_read_to_its_end_however_many_there_are() -> None:
    block = gzip.compress(random.Random(1).randbytes(2048).replace(b"\n", b" ") + b"\n")

    assert sum(1 for _ in read([block] * 6_000)) == 6_000
