"""Answers as receivers on the internet give them, byte for byte, and what becomes of each.

What three clients make of each was tried: curl 8, Go's net/http and Python's requests. Where they differ, most decide.
"""

from dataclasses import dataclass

from service.domain.outcomes import ErrorType

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 2\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"2\r\nok\r\n0\r\n\r\n"
MANY = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An answer that counts by its status. `kept` tells whether its connection may be used again."""

    raw: bytes
    status: int = 200
    body: str = "ok"
    broken: ErrorType | None = None
    kept: bool = True


def lines(*headers: bytes, status: bytes = b"HTTP/1.1 200 OK", body: bytes = b"ok") -> bytes:
    """An answer of these lines."""
    return b"".join(line + b"\r\n" for line in (status, *headers, b"")) + body


def spoken(status: bytes) -> bytes:
    """A plain answer with this status line."""
    return lines(b"Content-Length: 2", status=status)


def with_header(*headers: bytes) -> bytes:
    """A plain answer with these headers beside its length."""
    return lines(*headers, b"Content-Length: 2")


def chunked(body: bytes, *headers: bytes) -> bytes:
    """An answer in chunks."""
    return lines(b"Transfer-Encoding: chunked", *headers, body=body)


STATUS_LINES = {
    "plain": Taken(raw=spoken(b"HTTP/1.1 200 OK")),
    "Latin-1 in the reason": Taken(raw=spoken(b"HTTP/1.1 200 Trait\xe9")),
    "UTF-8 in the reason": Taken(raw=spoken("HTTP/1.1 200 Traité".encode())),
    "no text at all in the reason": Taken(raw=spoken(b"HTTP/1.1 200 \xff\xfe\x80\xc3")),
    "empty reason": Taken(raw=spoken(b"HTTP/1.1 200 ")),
    "no reason": Taken(raw=spoken(b"HTTP/1.1 200")),
    "NUL in the reason": Taken(raw=spoken(b"HTTP/1.1 200 O\0K")),
    "control characters in the reason": Taken(raw=spoken(b"HTTP/1.1 200 \x01\x1b[31m\x7f")),
    "CR in the reason": Taken(raw=spoken(b"HTTP/1.1 200 O\rK")),
    "TAB before the reason": Taken(raw=spoken(b"HTTP/1.1 200\tOK")),
    "long reason": Taken(raw=spoken(b"HTTP/1.1 200 " + b"x" * 60_000)),
    "two blanks before the status": Taken(raw=spoken(b"HTTP/1.1  200 OK")),
    "two blanks behind the status": Taken(raw=spoken(b"HTTP/1.1 200  OK")),
    "blanks behind the reason": Taken(raw=spoken(b"HTTP/1.1 200 OK   ")),
    "410 in Latin-1": Taken(raw=spoken(b"HTTP/1.1 410 Supprim\xe9"), status=410),
    "999": Taken(raw=spoken(b"HTTP/1.1 999 Odd"), status=999),
    "600": Taken(raw=spoken(b"HTTP/1.1 600 Odd"), status=600),
    "299": Taken(raw=spoken(b"HTTP/1.1 299 Odd"), status=299),
    "HTTP/1.0": Taken(raw=spoken(b"HTTP/1.0 200 OK"), kept=False),
    "HTTP/1.0 kept alive": Taken(raw=lines(b"Connection: keep-alive", b"Content-Length: 2", status=b"HTTP/1.0 200 OK")),
    "HTTP/1.2": Taken(raw=spoken(b"HTTP/1.2 200 OK"), kept=False),
    "HTTP/2.0": Taken(raw=spoken(b"HTTP/2.0 200 OK"), kept=False),
    "HTTP/0.9 as a version": Taken(raw=spoken(b"HTTP/0.9 200 OK"), kept=False),
}

HEADERS = {
    "LF only": Taken(raw=b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    "mixed line ends": Taken(raw=b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\nok"),
    "folded": Taken(raw=with_header(b"X-A: a", b" b", b"\tc")),
    "folded length": Taken(raw=lines(b"Content-Length:", b" 2")),
    "folded first line": Taken(raw=with_header(b" X-A: a")),
    "no colon": Taken(raw=with_header(b"nonsense")),
    "no colon in the last": Taken(raw=lines(b"Content-Length: 2", b"nonsense")),
    "blank in a name": Taken(raw=with_header(b"X A: b")),
    "blank behind a name": Taken(raw=lines(b"Content-Length : 2")),
    "empty name": Taken(raw=with_header(b": b")),
    "only a colon": Taken(raw=with_header(b":")),
    "name beyond ASCII": Taken(raw=with_header(b"X-\xe9: b")),
    "parentheses in a name": Taken(raw=with_header(b"X(a): b")),
    "value in Latin-1": Taken(raw=with_header(b"X-A: \xe9")),
    "value that is no text": Taken(raw=with_header(b"X-A: \xff\xfe\x80")),
    "NUL in a value": Taken(raw=with_header(b"X-A: a\0b")),
    "control characters in a value": Taken(raw=with_header(b"X-A: a\x01b\x7f")),
    "CR in a value": Taken(raw=with_header(b"X-A: a\rb")),
    "empty value": Taken(raw=with_header(b"X-A:")),
    "a header of 9,000 bytes": Taken(raw=with_header(b"X-A: " + b"x" * 9_000)),
    "a header of 60,000 bytes": Taken(raw=with_header(b"X-A: " + b"x" * 60_000)),
    "129 headers": Taken(raw=with_header(*[b"X-A: a"] * 129)),
    "5,000 headers": Taken(raw=with_header(*[b"X-A: a"] * 5_000)),
    "Retry-After that is no date": Taken(raw=with_header(b"Retry-After: Wed, 21 Oct 99999999999 07:28:00 GMT")),
    "Location that is no URL": Taken(
        raw=lines(b"Location: http://[x", b"Content-Length: 2", status=b"HTTP/1.1 302 F"), status=302
    ),
    "Set-Cookie that is none": Taken(raw=with_header(b"Set-Cookie: \xff=\0; x")),
    "Content-Type that is none": Taken(raw=with_header(b"Content-Type: ;;;charset=\xff")),
    "charset that is none": Taken(raw=with_header(b"Content-Type: text/plain; charset=no-such-charset")),
    "Content-Encoding that is none": Taken(raw=with_header(b"Content-Encoding: no-such-coding")),
    "gzip that is none": Taken(raw=with_header(b"Content-Encoding: gzip")),
    "Connection: upgrade": Taken(raw=with_header(b"Connection: upgrade", b"Upgrade: h2c")),
    "Connection: close": Taken(raw=with_header(b"Connection: close"), kept=False),
    "Connection: close among others": Taken(raw=with_header(b"Connection: x, CLOSE"), kept=False),
}

BODIES = {
    "the same length twice": Taken(raw=lines(b"Content-Length: 2", b"Content-Length: 2")),
    "the same length as a list": Taken(raw=lines(b"Content-Length: 2, 2")),
    "length with a zero before": Taken(raw=lines(b"Content-Length: 02")),
    "length with a plus": Taken(raw=lines(b"Content-Length: +2")),
    "length of 0": Taken(raw=lines(b"Content-Length: 0", body=b""), body=""),
    "length of 0 with a body": Taken(raw=lines(b"Content-Length: 0"), body="", kept=False),
    "a body longer than its length": Taken(raw=lines(b"Content-Length: 2", body=b"ok and more"), kept=False),
    "NUL behind": Taken(raw=lines(b"Content-Length: 2", body=b"ok\0"), kept=False),
    "an empty line behind": Taken(raw=lines(b"Content-Length: 2", body=b"ok\r\n"), kept=False),
    "another answer behind": Taken(
        raw=lines(b"Content-Length: 2", body=b"ok" + spoken(b"HTTP/1.1 500 No")), kept=False
    ),
    "204": Taken(raw=lines(status=b"HTTP/1.1 204 No", body=b""), status=204, body=""),
    "204 with a body": Taken(raw=lines(status=b"HTTP/1.1 204 No"), status=204, body="", kept=False),
    "204 with a length": Taken(raw=spoken(b"HTTP/1.1 204 No"), status=204, body="", kept=False),
    "204 with a length of 0": Taken(
        raw=lines(b"Content-Length: 0", status=b"HTTP/1.1 204 No", body=b""), status=204, body=""
    ),
    "204 in chunks": Taken(
        raw=lines(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 204 No", body=CHUNKS),
        status=204,
        body="",
        kept=False,
    ),
    "205 with a body": Taken(raw=spoken(b"HTTP/1.1 205 Reset"), status=205),
    "304 with a length": Taken(raw=spoken(b"HTTP/1.1 304 Same"), status=304, body="", kept=False),
    "chunks": Taken(raw=chunked(CHUNKS)),
    "chunks and a length": Taken(raw=chunked(CHUNKS, b"Content-Length: 2"), kept=False),
    "a length and chunks": Taken(
        raw=lines(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=CHUNKS), kept=False
    ),
    "CHUNKED": Taken(raw=lines(b"transfer-encoding: CHUNKED", body=CHUNKS)),
    "chunked twice": Taken(raw=chunked(CHUNKS, b"Transfer-Encoding: chunked"), kept=False),
    "gzip and chunked": Taken(raw=lines(b"Transfer-Encoding: gzip, chunked", body=CHUNKS), kept=False),
    "identity and a length": Taken(raw=with_header(b"Transfer-Encoding: identity"), kept=False),
    "another coding and a length": Taken(raw=with_header(b"Transfer-Encoding: xchunked"), kept=False),
    "chunks with LF": Taken(raw=chunked(b"2\nok\n0\n\n")),
    "chunks with extensions": Taken(raw=chunked(b'2;a=b;c="d"\r\nok\r\n0;x\r\n\r\n')),
    "a blank behind the size": Taken(raw=chunked(b"2 \r\nok\r\n0\r\n\r\n")),
    "zeros before the size": Taken(raw=chunked(b"0002\r\nok\r\n0000\r\n\r\n")),
    "a trailer": Taken(raw=chunked(b"2\r\nok\r\n0\r\nX-T: t\r\n\r\n"), kept=False),
    "no line behind the last chunk": Taken(raw=chunked(b"2\r\nok\r\n0\r\n"), kept=False),
    "surplus behind chunks": Taken(raw=chunked(CHUNKS + b"more"), kept=False),
    "chunks in HTTP/1.0": Taken(
        raw=lines(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK", body=CHUNKS), kept=False
    ),
}

INTERIM = {
    "100": Taken(raw=lines(status=b"HTTP/1.1 100 Continue", body=b"") + OK + LENGTH + b"\r\nok"),
    "100 with a length": Taken(
        raw=lines(b"Content-Length: 0", status=b"HTTP/1.1 100 Continue", body=b"") + OK + LENGTH + b"\r\nok"
    ),
    "100 in Latin-1": Taken(raw=b"HTTP/1.1 100 \xe9\r\n\r\n" + OK + LENGTH + b"\r\nok"),
    "103": Taken(raw=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + LENGTH + b"\r\nok"),
    "199": Taken(raw=b"HTTP/1.1 199 What\r\n\r\n" + OK + LENGTH + b"\r\nok"),
    "102 a hundred times": Taken(raw=b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK + LENGTH + b"\r\nok"),
    "100 nine thousand times": Taken(raw=b"HTTP/1.1 100 Yes\r\n\r\n" * 9_000 + OK + LENGTH + b"\r\nok"),
    "101": Taken(raw=lines(b"Upgrade: x", status=b"HTTP/1.1 101 Yes", body=b""), status=101, body="", kept=False),
}

TAKEN = STATUS_LINES | HEADERS | BODIES | INTERIM

# What goes wrong behind the status line without any waiting: the status stands.
BROKEN = {
    "a reason without end": Taken(
        raw=b"HTTP/1.1 200 " + b"x" * (MANY + 1), body="", broken=ErrorType.MALFORMED, kept=False
    ),
    "headers without end": Taken(raw=OK + b"X-A: a\r\n" * MANY, body="", broken=ErrorType.MALFORMED, kept=False),
    "a header without end": Taken(raw=OK + b"X-A: " + b"a" * MANY, body="", broken=ErrorType.MALFORMED, kept=False),
    "more than 64 KiB of headers": Taken(
        raw=with_header(b"X-A: " + b"a" * MANY), body="", broken=ErrorType.MALFORMED, kept=False
    ),
    "two lengths": Taken(
        raw=lines(b"Content-Length: 2", b"Content-Length: 3", body=b"ok!"),
        body="",
        broken=ErrorType.MALFORMED,
        kept=False,
    ),
    **{
        f"a length of {length!r}": Taken(
            raw=lines(b"Content-Length: " + length), body="", broken=ErrorType.MALFORMED, kept=False
        )
        for length in (b"-2", b"0x2", b"2.0", b"two", b"", b"9" * 30, b"2 2", b"\xb2")
    },
    **{
        f"a chunk of {size!r}": Taken(
            raw=chunked(size + b"\r\nok\r\n0\r\n\r\n"), body="", broken=ErrorType.MALFORMED, kept=False
        )
        for size in (b"not a size", b"-2", b"0x2", b" 2", b"", b"f" * 40, b"2" + b";a" * 3_000)
    },
    "a chunk longer than its size": Taken(
        raw=chunked(b"2\r\nokay\r\n0\r\n\r\n"), broken=ErrorType.MALFORMED, kept=False
    ),
    "500 with two lengths": Taken(
        raw=lines(b"Content-Length: 2", b"Content-Length: 3", status=b"HTTP/1.1 500 No"),
        status=500,
        body="",
        broken=ErrorType.MALFORMED,
        kept=False,
    ),
}

# Where an answer may stop: the receiver hangs up, resets the connection or says nothing more.
STOPS = {
    "behind the status line": (OK, ""),
    "behind a status line with LF": (b"HTTP/1.1 200 OK\n", ""),
    "behind an odd status line": (b"HTTP/1.1 200 \xe9\r\n", ""),
    "in a header's name": (OK + b"Content-Le", ""),
    "behind a header": (OK + LENGTH, ""),
    "behind the head": (OK + LENGTH + b"\r\n", ""),
    "in the body": (OK + b"Content-Length: 100\r\n\r\nhalf", "half"),
    "before a chunk": (OK + CHUNKED + b"\r\n", ""),
    "in a chunk's size": (OK + CHUNKED + b"\r\n2", ""),
    "in a chunk": (OK + CHUNKED + b"\r\n64\r\nhalf", "half"),
    "behind a chunk": (OK + CHUNKED + b"\r\n4\r\nhalf\r\n", "half"),
    "behind interim answers": (b"HTTP/1.1 103 Early\r\n\r\n" + OK + b"Content-Length: 9\r\n\r\nhalf", "half"),
}

NO_ANSWER = {
    name: spoken(line)
    for name, line in {
        "099": b"HTTP/1.1 099 Odd",
        "000": b"HTTP/1.1 000 Odd",
        "two digits": b"HTTP/1.1 20 OK",
        "four digits": b"HTTP/1.1 2000 OK",
        "no digits": b"HTTP/1.1 2x0 OK",
        "minus": b"HTTP/1.1 -200 OK",
        "plus": b"HTTP/1.1 +200 OK",
        "no blank behind the status": b"HTTP/1.1 200OK",
        "a colon behind the status": b"HTTP/1.1 200: OK",
        "a blank before": b" HTTP/1.1 200 OK",
        "a line before": b"\r\nHTTP/1.1 200 OK",
        "a mark before": b"\xef\xbb\xbfHTTP/1.1 200 OK",
        "something before": b"xxHTTP/1.1 200 OK",
        "TAB before the status": b"HTTP/1.1\t200 OK",
        "lower case": b"http/1.1 200 OK",
        "ICY": b"ICY 200 OK",
        "no version": b"HTTP 200 OK",
        "empty version": b"HTTP/ 200 OK",
        "half a version": b"HTTP/1. 200 OK",
        "long version": b"HTTP/1.10 200 OK",
        "HTTP/2": b"HTTP/2 200 OK",
        "no status": b"HTTP/1.1 OK",
        "other digits": "HTTP/1.1 \uff12\uff10\uff10 OK".encode(),
    }.items()
} | {
    "HTTP/0.9": b"hello world\n",
    "HTML": b"<html>hi</html>",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "NUL": b"\0" * 100,
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "too many interim answers": b"HTTP/1.1 100 Yes\r\n\r\n" * 20_000,
    "an interim answer without end": b"HTTP/1.1 100 Yes\r\n" + b"X-A: a\r\n" * MANY,
    "an empty line without end": b"\r\n" * MANY,
}
