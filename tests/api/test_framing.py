"""Where one request ends and the next begins: server, parser and application must agree, or the request is refused."""

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.protocol.connections import CallerProtocol
from tests.api.raw_callers import Echo, calling
from tests.support.serving import serving

JAVA_SENDER = Path(__file__).with_name("Sender.java")

HOST = b"host: relevo.test\r\n"
SMUGGLED = b"PUT /smuggled HTTP/1.1\r\nhost: relevo.test\r\ncontent-length: 0\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nhost: relevo.test\r\nconnection: close\r\n\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)

JDK_OFFER = (
    b"Host: relevo.test\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n"
)
JDK_WITH_LENGTH = (
    b"POST /jdk HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\n" % len(SMUGGLED)
) + JDK_OFFER
JDK_CHUNKED = b"POST /jdk HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nTransfer-encoding: chunked\r\n" + JDK_OFFER


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes of one request, cut where a client might cut them, and what the application is to hear of them."""

    head: bytes
    body: bytes = b""
    heard: str | None = None

    @property
    def whole(self) -> bytes:
        return self.head + b"\r\n" + self.body


def _offering(protocol: bytes, *, connection: bytes = b"Upgrade") -> Sent:
    head = b"POST /offer HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n" % len(SMUGGLED)
    head += b"connection: " + connection + b"\r\nupgrade: " + protocol + b"\r\n"
    return Sent(head, SMUGGLED, "POST /offer " + SMUGGLED.decode())


# Each is one request, whose body looks like another one.
TAKEN = {
    "the JDK's client, with a length": Sent(JDK_WITH_LENGTH, SMUGGLED, "POST /jdk " + SMUGGLED.decode()),
    "the JDK's client, chunked": Sent(JDK_CHUNKED, CHUNKED, "POST /jdk " + SMUGGLED.decode()),
    "the JDK's client, without a body": Sent(
        JDK_WITH_LENGTH.replace(b"Content-Length: %d\r\n" % len(SMUGGLED), b"").replace(b"POST", b"GET"),
        heard="GET /jdk ",
    ),
    "websocket": _offering(b"websocket"),
    "TLS": _offering(b"TLS/1.2, HTTP/1.1"),
    "HTTP/2.0": _offering(b"HTTP/2.0"),
    "an unknown protocol": _offering(b"x"),
    "an offer in a list": _offering(b"h2c", connection=b"keep-alive, upgrade"),
    "an offer in upper case": _offering(b"H2C", connection=b"UPGRADE"),
    "an offer that is no offer": _offering(b"h2c", connection=b"keep-alive"),
    "a length": Sent(
        b"POST /a HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n" % len(SMUGGLED),
        SMUGGLED,
        "POST /a " + SMUGGLED.decode(),
    ),
    "chunked": Sent(
        b"POST /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: Chunked\r\n", CHUNKED, "POST /a " + SMUGGLED.decode()
    ),
    "chunked with an extension and trailers": Sent(
        b"POST /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n",
        b'4;name="v\xe9"\r\nfour\r\n0\r\nupgrade: h2c\r\nconnection: upgrade\r\nx-a: b\r\n\r\n',
        "POST /a four",
    ),
    "a GET with a body": Sent(
        b"GET /a HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n" % len(SMUGGLED),
        SMUGGLED,
        "GET /a " + SMUGGLED.decode(),
    ),
    "the absolute form": Sent(b"GET http://relevo.test/a HTTP/1.1\r\n" + HOST, heard="GET /a "),
    "an expectation": Sent(
        b"POST /a HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 4\r\n", b"four", "POST /a four"
    ),
    "a host with a port": Sent(b"GET /a HTTP/1.1\r\nhost: [::1]:8000\r\n", heard="GET /a "),
}

POST = b"POST /a HTTP/1.1\r\n" + HOST
# Each could be read in two ways, and is refused.
REFUSED = {
    "CL.TE": (400, Sent(POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n")),
    "TE.CL": (400, Sent(POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n", b"0\r\n\r\n")),
    "an offer, and CL.TE": (
        400,
        Sent(JDK_WITH_LENGTH + b"transfer-encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    "an offer, and two lengths": (400, Sent(JDK_WITH_LENGTH + b"content-length: 4\r\n", b"four")),
    "an offer, and another coding": (400, Sent(JDK_CHUNKED.replace(b"chunked", b"xchunked"), b"0\r\n\r\n")),
    "an offer of HTTP/1.0, chunked": (400, Sent(JDK_CHUNKED.replace(b"1.1", b"1.0"), b"0\r\n\r\n")),
    "the same length twice": (400, Sent(POST + b"content-length: 4\r\ncontent-length: 4\r\n", b"four")),
    "a list of lengths": (400, Sent(POST + b"content-length: 4, 4\r\n", b"four")),
    "a signed length": (400, Sent(POST + b"content-length: +4\r\n", b"four")),
    "a negative length": (400, Sent(POST + b"content-length: -4\r\n", b"four")),
    "a length with blanks": (400, Sent(POST + b"content-length: 4 0\r\n", b"four")),
    "an empty length": (400, Sent(POST + b"content-length:\r\n", b"four")),
    "a length with a letter": (400, Sent(POST + b"content-length: 4x\r\n", b"four")),
    "chunked twice": (400, Sent(POST + b"transfer-encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    "chunked in two fields": (
        400,
        Sent(POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    "chunked and identity": (400, Sent(POST + b"transfer-encoding: chunked, identity\r\n", b"0\r\n\r\n")),
    "identity alone": (400, Sent(POST + b"transfer-encoding: identity\r\n", b"four")),
    "identity and chunked": (501, Sent(POST + b"transfer-encoding: identity, chunked\r\n", b"0\r\n\r\n")),
    "gzip and chunked": (501, Sent(POST + b"transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    "gzip and chunked in two fields": (
        501,
        Sent(POST + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    "xchunked": (400, Sent(POST + b"transfer-encoding: xchunked\r\n", b"0\r\n\r\n")),
    "chunked with a vertical tab": (400, Sent(POST + b"transfer-encoding: \x0bchunked\r\n", b"0\r\n\r\n")),
    "chunked with a parameter": (400, Sent(POST + b"transfer-encoding: chunked;q=1\r\n", b"0\r\n\r\n")),
    "chunked in quotes": (400, Sent(POST + b'transfer-encoding: "chunked"\r\n', b"0\r\n\r\n")),
    "an empty coding": (400, Sent(POST + b"transfer-encoding:\r\n", b"0\r\n\r\n")),
    "a coding of HTTP/1.0": (
        400,
        Sent(b"POST /a HTTP/1.0\r\n" + HOST + b"transfer-encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    "obs-fold of a coding": (400, Sent(POST + b"transfer-encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    "obs-fold": (400, Sent(POST + b"x-folded: one\r\n content-length: 4\r\n", b"four")),
    "blank before the colon": (400, Sent(POST + b"content-length : 4\r\n", b"four")),
    "blank before the name": (400, Sent(POST + b" content-length: 4\r\n", b"four")),
    "a lone carriage return": (400, Sent(POST + b"x-a: b\rcontent-length: 4\r\n", b"four")),
    "line feeds alone": (400, Sent(POST.replace(b"\r\n", b"\n") + b"content-length: 4\n", b"four")),
    "a line feed within the head": (400, Sent(POST + b"x-a: b\ncontent-length: 4\r\n", b"four")),
    "a null byte": (400, Sent(POST + b"x-a: b\x00c\r\n")),
    "no name": (400, Sent(POST + b": 4\r\n")),
    "a name that is no token": (400, Sent(POST + b"\xc4\xb0: 4\r\n")),
    "a chunk of a negative size": (400, Sent(POST + b"transfer-encoding: chunked\r\n", b"-1\r\n\r\n")),
    "a chunk of a hexadecimal prefix": (
        400,
        Sent(POST + b"transfer-encoding: chunked\r\n", b"0x4\r\nfour\r\n0\r\n\r\n"),
    ),
    "a chunk too long": (400, Sent(POST + b"transfer-encoding: chunked\r\n", b"4\r\nfourX\r\n0\r\n\r\n")),
    "a chunk that ends with a line feed": (
        400,
        Sent(POST + b"transfer-encoding: chunked\r\n", b"4\r\nfour\n0\r\n\r\n"),
    ),
    "a size that ends with a line feed": (400, Sent(POST + b"transfer-encoding: chunked\r\n", b"4\nfour\r\n0\r\n\r\n")),
    "a blank behind a size": (400, Sent(POST + b"transfer-encoding: chunked\r\n", b"4 \r\nfour\r\n0\r\n\r\n")),
    "no host": (400, Sent(b"GET /a HTTP/1.1\r\n")),
    "two hosts": (400, Sent(b"GET /a HTTP/1.1\r\n" + HOST + HOST)),
    "two hosts of HTTP/1.0": (400, Sent(b"GET /a HTTP/1.0\r\n" + HOST + HOST)),
    "a host with a path": (400, Sent(b"GET /a HTTP/1.1\r\nhost: relevo.test/a\r\n")),
    "a host with a user": (400, Sent(b"GET /a HTTP/1.1\r\nhost: a@relevo.test\r\n")),
    "a list of hosts": (400, Sent(b"GET /a HTTP/1.1\r\nhost: relevo.test other.test\r\n")),
    "a host with a port that is none": (400, Sent(b"GET /a HTTP/1.1\r\nhost: relevo.test:http\r\n")),
    "CONNECT": (501, Sent(b"CONNECT relevo.test:443 HTTP/1.1\r\n" + HOST)),
    "CONNECT with a body": (
        501,
        Sent(b"CONNECT relevo.test:443 HTTP/1.1\r\n" + HOST + b"content-length: 4\r\n", b"four"),
    ),
    "the preface of HTTP/2": (400, Sent(b"PRI * HTTP/2.0\r\n", b"SM\r\n\r\n")),
    "HTTP/2.0": (505, Sent(b"GET /a HTTP/2.0\r\n" + HOST)),
    "HTTP/1.2": (400, Sent(b"GET /a HTTP/1.2\r\n" + HOST)),
    "HTTP/0.9": (505, Sent(b"GET /a HTTP/0.9\r\n" + HOST)),
    "no version": (505, Sent(b"GET /a\r\n" + HOST)),
    "two versions": (400, Sent(b"GET /a HTTP/1.1 HTTP/1.1\r\n" + HOST)),
    "another protocol": (400, Sent(b"GET /a ICE/1.0\r\n" + HOST)),
    "an unknown method": (400, Sent(b"BREW /a HTTP/1.1\r\n" + HOST)),
    "a target that is none": (400, Sent(b"GET a HTTP/1.1\r\n" + HOST)),
    **{
        f"a target of {target!r}": (400, Sent(b"GET " + target + b" HTTP/1.1\r\n" + HOST))
        for target in (
            b"http://[::1/",
            b"http://relevo.test",
            b"HTTP://X?a",
            b"http://x:",
            b"http://x:99999/a",
            b"http:///a",
        )
    },
    "a TLS hello": (400, Sent(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")),
}


def in_pieces(sent: Sent) -> Iterator[tuple[bytes, ...]]:
    """The request and the next one as clients and networks cut them: by head and body, and byte by byte."""
    whole = sent.whole + NEXT
    yield (whole,)
    yield sent.head + b"\r\n", sent.body + NEXT
    yield sent.head + b"\r\n", sent.body, NEXT
    yield sent.whole, NEXT
    yield tuple(whole[place : place + 1] for place in range(len(whole)))


def split_anywhere(sent: Sent) -> Iterator[tuple[bytes, ...]]:
    whole = sent.whole + NEXT
    for place in range(1, len(whole)):
        yield whole[:place], whole[place:]


class WithConsole(CallerProtocol):
    """A server with a path on which WebSocket is spoken."""

    websocket_paths: ClassVar[tuple[re.Pattern[str], ...]] = (re.compile("^/console$"),)


class Greeting(asyncio.Protocol):
    """What uvicorn hands a connection to whose offer is taken up."""

    def __init__(self, **_: object) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        self._transport.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def port(echo: Echo) -> AsyncIterator[int]:
    async with serving(echo.app) as listening:
        yield listening


async def exchanged(port: int, pieces: tuple[bytes, ...]) -> bytes:
    """Everything that is answered to the pieces, read apart."""
    async with calling(port) as caller:
        try:
            await caller.send_apart(*pieces)
            return await caller.everything()
        except ConnectionError:  # refused midway, with bytes under way that nobody reads
            return b""


@pytest.mark.parametrize("case", TAKEN)
async def test_a_request_has_the_body_that_it_says_wherever_it_is_cut(case: str, port: int, echo: Echo) -> None:
    for pieces in in_pieces(TAKEN[case]):
        answers = await exchanged(port, pieces)

        assert echo.lines == [TAKEN[case].heard, "GET /next "], (case, len(pieces))
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
        echo.lines.clear()


@pytest.mark.parametrize("case", ["the JDK's client, with a length", "the JDK's client, chunked"])
async def test_an_offer_of_another_protocol_is_ignored_wherever_its_request_is_cut(
    case: str, port: int, echo: Echo
) -> None:
    for pieces in split_anywhere(TAKEN[case]):
        await exchanged(port, pieces)

        assert echo.lines == [TAKEN[case].heard, "GET /next "], len(pieces[0])
        echo.lines.clear()


@pytest.mark.parametrize("case", REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_executed(
    case: str, port: int, echo: Echo
) -> None:
    status, sent = REFUSED[case]
    for number, pieces in enumerate(in_pieces(Sent(sent.head, sent.body + SMUGGLED))):
        answers = await exchanged(port, pieces)

        assert echo.lines == [], case
        if number == 0:
            head, _, body = answers.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status), case
            assert head.count(b"\r\nx-request-id: ") == head.count(b"\r\nconnection: close") == 1
            assert set(orjson.loads(body)) == {"code", "detail"}, "one answer, and no other behind it"


async def test_a_request_before_one_that_is_refused_is_answered_first(port: int, echo: Echo) -> None:
    for case, (_, sent) in REFUSED.items():
        answers = await exchanged(port, (b"GET /first HTTP/1.1\r\n" + HOST + b"\r\n" + sent.whole + NEXT,))

        assert echo.lines == ["GET /first "], case
        assert answers.startswith(b"HTTP/1.1 200 OK\r\n"), case
        echo.lines.clear()


async def test_trailers_do_not_become_headers() -> None:
    async def names_of_headers(request: Request) -> Response:
        await request.body()
        return Response(" ".join(request.headers))

    app = Starlette(routes=[Route("/a", names_of_headers, methods=["POST"])])
    trailers = b"0\r\nauthorization: Bearer x\r\n\r\n"
    async with serving(app) as listening, calling(listening) as caller:
        await caller.send(POST + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n" + trailers)
        answer = await caller.everything()

    assert answer.endswith(b"\r\n\r\nhost transfer-encoding connection")


async def test_websocket_is_spoken_only_on_a_path_that_was_declared_and_without_a_body(echo: Echo) -> None:
    offer = b"connection: upgrade\r\nupgrade: websocket\r\n"
    offer += b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    async with serving(echo.app, protocol=WithConsole, websockets=Greeting) as listening:
        declared = await exchanged(listening, (b"GET /console?a=b HTTP/1.1\r\n" + HOST + offer + b"\r\n",))
        elsewhere = await exchanged(listening, (b"GET /a HTTP/1.1\r\n" + HOST + offer + b"\r\n", NEXT))
        with_length = HOST + offer + b"content-length: %d\r\n\r\n" % len(SMUGGLED)
        with_a_body = await exchanged(listening, (b"GET /console HTTP/1.1\r\n" + with_length, SMUGGLED, NEXT))

    assert declared.startswith(b"HTTP/1.1 101 ")
    assert b"HTTP/1.1 101 " not in elsewhere + with_a_body
    assert echo.lines == ["GET /a ", "GET /next ", "GET /console " + SMUGGLED.decode(), "GET /next "]


async def test_the_jdks_client_has_its_bodies_heard(port: int, echo: Echo) -> None:
    java = shutil.which("java")
    if java is None:
        pytest.skip("NOT TESTED: the JDK's own client, since there is no java on the PATH")

    client = await create_subprocess_exec(java, JAVA_SENDER, f"http://127.0.0.1:{port}/jdk", stdout=PIPE)
    said, _ = await client.communicate()

    assert echo.lines == ["POST /jdk with a length", "POST /jdk chunked", "POST /jdk with a length"]
    assert said.decode().splitlines() == ["200 with a length", "200 chunked", "200 with a length"]
