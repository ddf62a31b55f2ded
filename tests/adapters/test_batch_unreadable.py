"""Servers of ordered destinations whose answers their clients cannot read: a fault of theirs, told without a stack."""

import asyncio
import logging
import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest

from service.adapters.destinations.conversation import Unreadable, conversation
from service.adapters.destinations.listening import MOST_SAID_BYTES, TOO_MUCH, streams
from service.domain.outcomes import ErrorType
from service.domain.sinks import KafkaSink, NatsSink, PostgresSink, PushedSink, RabbitMqSink
from tests.contracts.test_batch_senders import failed, sent
from tests.support.batch_stands import AT
from tests.support.patience import patient
from tests.support.scripts import (
    CHANNEL,
    CONFIRMING,
    GREETING,
    LET_IN,
    OPENED,
    START,
    TUNE,
    Script,
    amqp_frame,
    amqp_method,
    authentication,
    following,
    kafka_answer,
    postgres_message,
    saying,
    without_end,
)


def at(kind: type[PushedSink], port: int) -> PushedSink:
    sink = AT[kind]("127.0.0.1", port)
    return replace(sink, url=f"{sink.url}?sslmode=disable") if isinstance(sink, PostgresSink) else sink


PASSED = GREETING, None, b"PONG\r\n", None

UNREADABLE: Mapping[type[PushedSink], Mapping[str, Script]] = {
    PostgresSink: {
        "a salt that is none": saying(
            None,
            authentication(10, b"SCRAM-SHA-256\0\0"),
            None,
            authentication(11, b"r=x,s=!!!,i=1"),
            hangs_up=True,
        ),
        "a version that is no number": saying(
            None,
            authentication(0) + postgres_message(b"S", b"server_version\0x.y\0") + postgres_message(b"Z", b"I"),
        ),
        "a setting in no UTF-8": saying(None, authentication(0) + postgres_message(b"S", b"\xff\0\xff\0") + LET_IN),
    },
    NatsSink: {
        "an endless line": saying(b"x" * 300_000),
        "a list": saying(b"INFO []\r\n"),
        "nothing": saying(b"INFO null\r\n"),
        "addresses that are a number": saying(b'INFO {"connect_urls":5,"max_payload":"x"}\r\n'),
        "an error in no UTF-8": saying(GREETING, None, b"-ERR \xff\xfe\r\n"),
        "an error without words, later": saying(*PASSED, b"-ERR  \r\n"),
        "what is no word": saying(*PASSED, b"\xff\xff\xff\r\n"),
        "a greeting that is none, later": saying(*PASSED, b"INFO []\r\n"),
        "headers that are none": saying(*PASSED, b"HMSG a 1 5 3\r\nxxxxx\r\n"),
        "a number that is none": saying(*PASSED, b"MSG a b 1\r\nx\r\n"),
    },
    KafkaSink: {
        "a negative length": saying(None, struct.pack(">i", -1) + b"x" * 100),
        "no length": saying(None, struct.pack(">i", 0)),
        "garbage": saying(None, kafka_answer(1, b"\xff" * 36), hangs_up=True),
        "a list of many and of none": saying(None, kafka_answer(1, struct.pack(">hi", 0, 0x7FFFFFFF))),
        "an answer to something else": saying(None, kafka_answer(999, b"")),
    },
    RabbitMqSink: {
        "garbage": saying(None, amqp_frame(1, 0, b"\xff" * 4)),
        "no end of a frame": saying(None, b"\x01\0\0\0\0\0\4\0\x0a\0\x0a\0"),
        "a table that is longer than its frame": saying(None, amqp_method(10, 10, b"\0\x09" + b"\xff" * 4 + b"\0" * 7)),
        "another protocol": saying(None, b"AMQP\0\0\x08\0", hangs_up=True),
        "garbage once it is open": saying(None, START, None, TUNE, None, OPENED, amqp_frame(1, 1, b"\xff" * 4)),
        "garbage for a confirmation": saying(
            None,
            START,
            None,
            TUNE,
            None,
            OPENED,
            None,
            CHANNEL,
            None,
            CONFIRMING,
            None,
            amqp_frame(1, 1, struct.pack(">HH", 60, 80)),
        ),
    },
}
CASES = [(kind, name) for kind, scripts in UNREADABLE.items() for name in scripts]


@pytest.mark.parametrize(("kind", "name"), CASES)
async def test_what_cannot_be_read_is_the_server_s_fault_and_nothing_for_the_log(
    kind: type[PushedSink], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(UNREADABLE[kind][name]) as server:
        result = await sent(at(kind, server.port), b"{}", b"{}", seconds=patient(5))

    assert failed(result) is ErrorType.MALFORMED
    assert "cannot be read" in result.outcome.exchange.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# What is signed in, and waits for messages.
WAITING: Mapping[type[PushedSink], Script] = {
    PostgresSink: saying(None, LET_IN, None, postgres_message(b"C", b"BEGIN\0") + postgres_message(b"Z", b"T")),
    NatsSink: saying(*PASSED),
    RabbitMqSink: saying(None, START, None, TUNE, None, OPENED, None, CHANNEL, None, CONFIRMING),
}


@pytest.mark.parametrize("kind", WAITING)
async def test_what_cannot_be_written_is_a_fault_of_ours(kind: type[PushedSink]) -> None:
    async with following(WAITING[kind]) as server:
        with pytest.raises((TypeError, AttributeError)):
            await sent(at(kind, server.port), cast("bytes", 5), seconds=patient(5))


async def test_only_what_no_client_documents_counts_as_unreadable() -> None:
    with pytest.raises(Unreadable, match="KeyError"), conversation(ValueError):
        raise KeyError("what it said")
    with pytest.raises(ValueError, match="known"), conversation(ValueError):
        raise ValueError("known")
    with pytest.raises(EOFError), conversation():
        raise EOFError


async def test_a_wait_that_its_client_cancels_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionResetError), conversation():
        raise asyncio.CancelledError


async def test_a_conversation_that_is_canceled_stays_canceled() -> None:
    async def talk() -> None:
        with conversation():
            await asyncio.Event().wait()

    talking = asyncio.create_task(talk())
    await asyncio.sleep(0)
    talking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await talking


TEXT = b"A" * 1_000_000
ENDLESS: Mapping[type[PushedSink], Mapping[str, Script]] = {
    PostgresSink: {
        "one message": without_end(None, b"R" + struct.pack(">i", 0x7FFFFFFF), more=lambda _: TEXT),
        "settings": without_end(
            None,
            authentication(0),
            more=lambda turn: b"".join(
                postgres_message(b"S", b"%d\0%s\0" % (number, TEXT[:1_000]))
                for number in range(turn * 1_000, turn * 1_000 + 1_000)
            ),
        ),
        "notices": without_end(
            None, authentication(0), more=lambda _: postgres_message(b"N", b"SNOTICE\0C00000\0Mx\0\0") * 10_000
        ),
    },
    NatsSink: {
        "one message": without_end(*PASSED, b"MSG x 1 2000000000\r\n", more=lambda _: TEXT),
        "a line": without_end(*PASSED, more=lambda _: TEXT),
    },
    KafkaSink: {"one answer": without_end(None, struct.pack(">i", 0x7FFFFFFF), more=lambda _: TEXT)},
    RabbitMqSink: {
        "one frame": without_end(None, b"\x01\0\0\xff\xff\xff\xff", more=lambda _: TEXT),
    },
}
ENDLESS_CASES = [(kind, name) for kind, scripts in ENDLESS.items() for name in scripts]
IN_BUFFERS = 32 * 1024 * 1024  # of the kernel, on both sides


@pytest.mark.parametrize(("kind", "name"), ENDLESS_CASES)
async def test_who_never_stops_talking_is_cut_off(
    kind: type[PushedSink], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(ENDLESS[kind][name]) as server:
        result = await sent(at(kind, server.port), b"{}", seconds=patient(20))

        assert failed(result) is ErrorType.MALFORMED
        assert result.outcome.exchange.text == TOO_MUCH
        assert server.said < MOST_SAID_BYTES + IN_BUFFERS
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_what_a_server_says_in_turn_has_no_bound() -> None:
    turns, piece = 10, MOST_SAID_BYTES // 4
    script = saying(*[None, b"x" * piece] * turns)
    async with following(script) as server:
        opened = socket.create_connection(("127.0.0.1", server.port))
        opened.setblocking(False)
        reader, writer = await streams(opened, limit=65_536, most=MOST_SAID_BYTES)
        for _ in range(turns):
            writer.write(b"more")
            assert len(await reader.readexactly(piece)) == piece
        writer.close()
        await writer.wait_closed()
