"""Servers that ask for as many iterations of SCRAM as would hold up a process."""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.destinations.conversation import Unreadable
from service.adapters.destinations.scram import MOST_ITERATIONS, TOO_MANY, SignIn, check
from service.domain.outcomes import ErrorType
from service.domain.sinks import KafkaSink, PostgresSink
from tests.contracts.test_batch_senders import failed, sent
from tests.support.certificates import self_signed
from tests.support.patience import patient
from tests.support.scripts import LET_IN, ONE_READ, Script, Talker, authentication, following

MANY = 2_000_000


def challenge(heard: bytes, iterations: int) -> bytes:
    """The server's first message, with the nonce that was heard."""
    nonce = heard[heard.index(b"r=") + 2 :].split(b",")[0]
    return b"r=%szz,s=QSXCR+Q6sek8bf92,i=%d" % (nonce, iterations)


async def ask_in_postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(ONE_READ)
    writer.write(authentication(10, b"SCRAM-SHA-256\0\0"))
    writer.write(authentication(11, challenge(await reader.read(ONE_READ), MANY)))
    await reader.read()


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Talker) -> None:
    await ask_in_postgres(reader, writer)


def behind_tls(directory: Path) -> Script:
    context, _ = self_signed(directory)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Talker) -> None:
        await reader.read(ONE_READ)
        writer.write(b"S")
        await writer.start_tls(context)
        await ask_in_postgres(reader, writer)

    return ask


@pytest.mark.parametrize(("mode", "made"), [("disable", lambda _: plain), ("require", behind_tls)])
async def test_a_server_of_postgresql_that_asks_for_many_is_refused_before_they_are_made(
    mode: str, made: Callable[[Path], Script], tmp_path: Path
) -> None:
    async with following(made(tmp_path)) as server:
        url = f"postgres://user@127.0.0.1:{server.port}/database?sslmode={mode}"
        result = await sent(PostgresSink(url=url, password="secret", table_name="events"), b"{}", seconds=patient(20))

    assert failed(result) is ErrorType.MALFORMED
    assert result.outcome.exchange.text == TOO_MANY


def api_versions() -> bytes:
    """Metadata, the two steps of signing in, and this request itself."""
    known = ((3, 0, 1), (17, 0, 1), (18, 0, 0), (36, 0, 0))
    return struct.pack(">hi", 0, len(known)) + b"".join(struct.pack(">hhh", *each) for each in known)


def text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


async def ask_in_kafka(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Talker) -> None:
    answers: dict[int, Callable[[bytes], bytes]] = {
        18: lambda _: api_versions(),
        17: lambda _: struct.pack(">hi", 0, 1) + text(b"SCRAM-SHA-256"),
        36: lambda heard: struct.pack(">hhi", 0, -1, len(challenge(heard, MANY))) + challenge(heard, MANY),
    }
    while size := await reader.read(4):
        heard = await reader.readexactly(struct.unpack(">i", size)[0])
        api, _version, correlation = struct.unpack(">hhi", heard[:8])
        body = answers[api](heard)
        writer.write(struct.pack(">ii", len(body) + 4, correlation) + body)


async def test_a_broker_of_kafka_that_asks_for_many_is_refused_before_they_are_made() -> None:
    async with following(ask_in_kafka) as server:
        sink = KafkaSink(bootstrap_servers=(f"127.0.0.1:{server.port}",), topic="topic")
        known = replace(sink, sasl_mechanism="SCRAM-SHA-256", username="user", password="secret")
        result = await sent(known, b"{}", seconds=patient(20))

    assert failed(result) is ErrorType.MALFORMED
    assert result.outcome.exchange.text == TOO_MANY


def told(data: bytes, *, piece: int) -> None:
    watch = SignIn()
    for begin in range(0, len(data), piece):
        watch(data[begin : begin + piece])


def asking(iterations: int) -> bytes:
    first = authentication(10, b"SCRAM-SHA-256\0\0")
    return first + authentication(11, b"r=abc,s=QSXCR,i=%d" % iterations)


@pytest.mark.parametrize("piece", [1, 7, 1_000])
def test_however_packets_fall_too_many_are_seen_and_no_fewer(piece: int) -> None:
    told(asking(MOST_ITERATIONS), piece=piece)
    with pytest.raises(Unreadable):
        told(asking(MOST_ITERATIONS + 1), piece=piece)


def test_who_has_let_us_in_is_watched_no_more() -> None:
    told(LET_IN + asking(MANY), piece=1_000)


@pytest.mark.parametrize("digits", [b"4096", b"200000"])
def test_what_is_usual_is_made(digits: bytes) -> None:
    check(digits)


@pytest.mark.parametrize("digits", [b"200001", b"1" * 5_000])
def test_no_number_is_too_long_to_be_refused(digits: bytes) -> None:
    with pytest.raises(Unreadable, match="SCRAM"):
        check(digits)
