"""Answers of receivers over real sockets: what most clients take is taken, and nothing hides a status."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.destinations.http.answers import AnswerReader, Malformed
from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.sender import HttpSender
from service.domain.destinations import HttpDestination
from service.domain.outcomes import ErrorType, Failed, Outcome, RefusedForNow, Taken
from tests.support.answers import BROKEN, NO_ANSWER, OK, STOPS, TAKEN, lines, spoken
from tests.support.factories import a_parcel
from tests.support.misbehaviour import Connection
from tests.support.patience import unhurried

LOCAL = Egress([ip_network("127.0.0.0/8")])
PATIENT, IMPATIENT = 60.0, unhurried(0.4)
GOOD = spoken(b"HTTP/1.1 200 OK")


Say = Callable[[Connection, int], Awaitable[None]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Send = Callable[..., Coroutine[None, None, Outcome]]


@dataclass(slots=True, kw_only=True)
class Speaker:
    """Where somebody listens, and how often they were connected to."""

    url: str
    connections: int = 0


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Speaker]:
    """A receiver on loopback. What it still does at the end is cut off."""
    speaker = Speaker(url="")
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        speaker.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()
        tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    speaker.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield speaker
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def speaking(say: Say) -> AsyncIterator[Speaker]:
    """A receiver that says whatever `say` does: it gets the connection and how many requests came over it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for nth in itertools.count(1):
            await reader.readuntil(b"{}")
            await say(Connection(reader=reader, writer=writer), nth)

    async with serving(serve) as speaker:
        yield speaker


@asynccontextmanager
async def sending(connections: int = 8) -> AsyncIterator[Send]:
    # Nobody here speaks TLS, and to load the authorities takes longer than most of these tests.
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    async with open_http_client(LOCAL, concurrency=connections, spare=0, ssl_context=context) as client:

        async def send(url: str, seconds: float = PATIENT, *, headers: dict[str, str] | None = None) -> Outcome:
            return await HttpSender(client, timeout=seconds, egress=LOCAL).send(
                HttpDestination(url=url, headers=headers or {}), a_parcel()
            )

        yield send


def always(raw: bytes) -> Say:
    """The same answer to every request; the connection stays open."""
    return lambda connection, _nth: connection.send(raw)


def hanging_up(raw: bytes) -> Say:
    async def say(connection: Connection, _nth: int) -> None:
        await connection.send(raw)
        connection.hang_up()

    return say


@pytest.mark.parametrize("name", TAKEN)
async def test_what_most_clients_take_is_taken_and_oddities_cost_the_connection_only(name: str) -> None:
    expected = TAKEN[name]
    async with speaking(always(expected.raw)) as speaker, sending() as send:
        outcomes = [await send(speaker.url) for _ in range(2)]

    for outcome in outcomes:
        assert (outcome.exchange.status, outcome.exchange.text, outcome.exchange.broken) == (
            expected.status,
            expected.body,
            None,
        )
    assert speaker.connections == (1 if expected.kept else 2)


@pytest.mark.parametrize("name", BROKEN)
async def test_whatever_is_wrong_behind_the_status_line_the_status_stands_and_the_error_is_noted(name: str) -> None:
    expected = BROKEN[name]
    async with speaking(always(expected.raw)) as speaker, sending() as send:
        outcomes = [await send(speaker.url) for _ in range(2)]

    for outcome in outcomes:
        assert (outcome.exchange.status, outcome.exchange.text, outcome.exchange.broken) == (
            expected.status,
            expected.body,
            expected.broken,
        )
    assert speaker.connections == 2


@pytest.mark.parametrize("stop", ["hangs up", "resets", "says no more"])
@pytest.mark.parametrize("name", STOPS)
async def test_an_answer_that_stops_anywhere_behind_its_status_line_counts_by_its_status(name: str, stop: str) -> None:
    raw, body = STOPS[name]
    expected = ErrorType.TIMEOUT if stop == "says no more" else ErrorType.RESET
    status_read = asyncio.Event()

    async def say(connection: Connection, _nth: int) -> None:
        await connection.send(raw)
        if stop == "hangs up":
            connection.hang_up()
        elif stop == "resets":
            # Not before it has been read: a reset makes the kernel forget what it holds.
            await status_read.wait()
            connection.reset()

    async with speaking(say) as speaker, sending() as send:
        call = asyncio.ensure_future(send(speaker.url, IMPATIENT if stop == "says no more" else PATIENT))
        await asyncio.sleep(0.05)
        status_read.set()
        outcome = await call

    assert (outcome.exchange.status, outcome.exchange.text, outcome.exchange.broken) == (200, body, expected)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 503 \xe9\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 503 No\r\nX-A: \xff\0\r\nretry-after:7\r\nContent-Length: 9\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nRetry-After: nonsense\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_no_oddity_hides_what_the_receiver_wishes(head: bytes) -> None:
    async with speaking(always(head)) as speaker, sending() as send:
        outcome = await send(speaker.url)

    assert isinstance(outcome, RefusedForNow)
    assert (outcome.exchange.status, outcome.wait) == (503, timedelta(seconds=7))


RETRY_AFTERS = st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b""))


@given(st.lists(RETRY_AFTERS, min_size=30, max_size=30))
@settings(max_examples=5, deadline=None)
def test_no_header_of_a_receiver_makes_an_answer_fail_on_our_side(values: list[bytes]) -> None:
    said = iter(values)

    async def say(connection: Connection, _nth: int) -> None:
        value = next(said)
        await connection.send(lines(b"Retry-After: " + value, b"X-A: " + value, value + b": x", b"Content-Length: 2"))

    async def call_them_all() -> list[Outcome]:
        async with speaking(say) as speaker, sending() as send:
            return [await send(speaker.url) for _ in values]

    outcomes = asyncio.run(call_them_all())

    assert [outcome.exchange.status for outcome in outcomes] == [200] * len(values)


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with speaking(hanging_up(OK + b"\r\nall of it")) as speaker, sending() as send:
        outcome = await send(speaker.url)

    assert (outcome.exchange.status, outcome.exchange.text, outcome.exchange.broken) == (200, "all of it", None)


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_what_begins_like_no_answer_is_malformed(name: str) -> None:
    async with speaking(always(NO_ANSWER[name])) as speaker, sending() as send:
        outcome = await send(speaker.url)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.MALFORMED


@pytest.mark.parametrize("raw", [b"", b"HT", b"HTTP/1.1 200 OK", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_without_a_whole_status_line_a_closed_connection_is_a_reset(raw: bytes) -> None:
    async with speaking(hanging_up(raw)) as speaker, sending() as send:
        outcome = await send(speaker.url)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.RESET


ENDLESS = {
    "body": (OK + b"\r\n", b"x" * 10_000),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
    "chunk extensions": (OK + b"Transfer-Encoding: chunked\r\n\r\n1", b";a" * 1_000),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 1_000),
    "reason": (b"HTTP/1.1 200 ", b"x" * 1_000),
    "headers": (OK, b"X-A: a\r\n" * 100),
    "folded header": (OK + b"X-A:", b" a\r\n" * 100),
    "surplus": (GOOD, b"x" * 10_000),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_never_ends_is_not_read_to_its_end(name: str) -> None:
    begin, more = ENDLESS[name]
    sent = 0

    async def say(connection: Connection, _nth: int) -> None:
        nonlocal sent
        await connection.send(begin)
        while True:
            await connection.send(more)
            sent += len(more)

    async with speaking(say) as speaker, sending() as send:
        outcome = await send(speaker.url)

    assert outcome.exchange.status == 200
    assert sent < 20_000_000  # what the kernel's buffers take on loopback, at the most


@pytest.mark.parametrize("surplus", [b"x", b"\0", b"\r\n", b"ok and more", b"<html>" * 50, b"HTTX/1.1 500 No\r\n\r\n"])
@pytest.mark.parametrize("when", ["with the answer", "once it is read", "as the next request arrives"])
async def test_what_comes_behind_an_answer_never_fails_the_next_message_however_late(when: str, surplus: bytes) -> None:
    read = asyncio.Event()

    async def say(connection: Connection, nth: int) -> None:
        if when == "with the answer":
            await connection.send(GOOD + surplus)
        elif when == "once it is read":
            await connection.send(GOOD)
            await read.wait()
            read.clear()
            await connection.send(surplus)
        else:
            await connection.send(GOOD if nth == 1 else surplus + GOOD)

    async with speaking(say) as speaker, sending() as send:
        outcomes = []
        for _ in range(3):
            outcomes.append(await send(speaker.url))
            read.set()
            await asyncio.sleep(0)

    assert [type(outcome) for outcome in outcomes] == [Taken] * 3


async def test_what_a_kept_connection_spoils_is_asked_again_over_a_new_one() -> None:
    first_ones = asyncio.Barrier(2)

    async def say(connection: Connection, nth: int) -> None:
        if nth == 1 and speaker.connections <= 2:
            await first_ones.wait()
        await connection.send(GOOD if nth == 1 else b"surplus" + GOOD)

    async with speaking(say) as speaker, sending() as send:
        await asyncio.gather(send(speaker.url), send(speaker.url))
        outcome = await send(speaker.url)

    assert isinstance(outcome, Taken)
    assert speaker.connections == 3


async def test_an_answer_that_comes_before_the_whole_request_counts_and_costs_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(spoken(b"HTTP/1.1 413 Too much"))
        await asyncio.Event().wait()

    context = SSLContext(PROTOCOL_TLS_CLIENT)
    async with serving(serve) as speaker, open_http_client(LOCAL, concurrency=2, ssl_context=context) as client:
        sender = HttpSender(client, timeout=PATIENT, egress=LOCAL)
        outcomes = [await sender.send(HttpDestination(url=speaker.url), a_parcel(bytes(20_000_000))) for _ in range(2)]

    assert [outcome.exchange.status for outcome in outcomes] == [413, 413]
    assert speaker.connections == 2


async def test_a_pool_of_two_survives_a_thousand_answers_of_every_misbehaviour() -> None:
    raws = [answer.raw for answer in (TAKEN | BROKEN).values() if len(answer.raw) < 20_000]
    raws += [raw for raw in NO_ANSWER.values() if len(raw) < 20_000] + [raw for raw, _ in STOPS.values()]
    turns = itertools.cycle(itertools.product(raws, ["hang up", "reset"]))
    good = False

    async def say(connection: Connection, _nth: int) -> None:
        raw, end = (GOOD, "stay") if good else next(turns)
        await connection.send(raw)
        if end == "hang up":
            connection.hang_up()
        elif end == "reset":
            connection.reset()

    async with speaking(say) as speaker, sending(connections=2) as send:
        async with asyncio.timeout(PATIENT):  # none of them waits for anything
            await _by_fours(lambda: send(speaker.url), 1_000)
        good = True
        outcomes = await asyncio.gather(*(send(speaker.url) for _ in range(10)))

    assert [outcome.exchange.status for outcome in outcomes] == [200] * 10


async def test_a_pool_of_two_survives_answers_that_hang() -> None:
    stops = itertools.cycle([b"", b"HTTP/1.1 2", *(raw for raw, _ in STOPS.values())])
    good = False

    async def say(connection: Connection, _nth: int) -> None:
        await connection.send(GOOD if good else next(stops))

    async with speaking(say) as speaker, sending(connections=2) as send:
        await asyncio.gather(*(send(speaker.url, IMPATIENT) for _ in range(8)))
        await _by_fours(lambda: send(speaker.url, 0.02), 100)
        good = True
        outcome = await send(speaker.url)

    assert isinstance(outcome, Taken)


async def test_a_pool_of_two_survives_calls_that_are_canceled_at_any_moment() -> None:
    async with speaking(always(GOOD)) as speaker, sending(connections=2) as send:
        for turns in range(100):
            call = asyncio.ensure_future(send(speaker.url))
            for _ in range(turns % 25):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        outcome = await send(speaker.url)

    assert isinstance(outcome, Taken)


async def _by_fours(call: Callable[[], Coroutine[None, None, Outcome]], times: int) -> None:
    for _ in range(times // 4):
        await asyncio.gather(*(call() for _ in range(4)))


async def test_a_receiver_that_speaks_first_is_heard() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(spoken(b"HTTP/1.1 503 Full"))
        await reader.read()

    async with serving(serve) as speaker, sending() as send:
        outcome = await send(speaker.url)

    assert outcome.exchange.status == 503


SMALL = {name: answer for name, answer in (TAKEN | BROKEN).items() if len(answer.raw) < 2_000}


@given(st.sampled_from(sorted(SMALL)), st.lists(st.integers(0, 2_000), max_size=8))
def test_however_packets_fall_an_answer_is_the_same(name: str, cuts: list[int]) -> None:
    raw = SMALL[name].raw
    marks = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})

    in_pieces = _read([raw[begin:end] for begin, end in itertools.pairwise(marks)])

    assert in_pieces[:3] == _read([raw])[:3] == _read([bytes([byte]) for byte in raw])[:3]


@given(st.lists(st.binary(max_size=200), max_size=6), st.booleans())
def test_whatever_a_receiver_sends_a_reader_says_malformed_or_goes_on(pieces: list[bytes], begun: bool) -> None:
    _read([OK if begun else b"", *pieces])


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_no_header_and_no_reason_hides_the_status(reason: bytes, headers: bytes) -> None:
    status_line = b"HTTP/1.1 201 " + reason.replace(b"\n", b"") + b"\r\n"

    status, *_ = _read([status_line + headers + b"\r\n\r\n"])

    assert status == 201


def _read(pieces: list[bytes]) -> tuple[int | None, bytes, bool, bool]:
    """Status, body, whether it is complete and whether it broke, as a line reads an answer."""
    reader, body, broken = AnswerReader(), b"", False
    for piece in pieces:
        if reader.complete or broken:
            break
        try:
            reader.feed(piece)
            body += reader.take()
        except Malformed:
            broken = True
            body += _rest(reader)
    return (reader.head.status if reader.head else None, body, reader.complete, broken)


def _rest(reader: AnswerReader) -> bytes:
    with suppress(Malformed):
        reader.give_up()
    return reader.take()


async def test_a_header_goes_out_in_latin_1_as_it_was_checked() -> None:
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    points = (*range(0x20, 0x7F), *range(0x80, 0x100))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(await reader.readuntil(b"{}"))
        writer.write(GOOD)
        await reader.read()

    async with serving(serve) as speaker, sending() as send:
        await send(speaker.url, headers={"X-A": f"a{''.join(map(chr, points))}z"})

    assert b"X-A: a" + bytes(points) + b"z\r\n" in await seen
