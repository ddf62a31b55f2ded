"""What every sender of batches does, whatever kind of ordered destination it reaches. The programs of most kinds run
for `make test-brokers` only, where the second half of this suite is run on them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from service.domain.batches import BatchResult
from service.domain.outcomes import ErrorType, Failed, Taken
from service.domain.sinks import FifoSink, PushedSink
from tests.support import batch_programs
from tests.support.batch_programs import postgres_stand
from tests.support.batch_stands import (
    AT,
    SECRET,
    BatchStand,
    Listener,
    a_batch,
    hanging_up,
    local_senders,
    nobody,
    silent,
)
from tests.support.networked_postgres import Networked, networked_postgres
from tests.support.patience import patient

FORBIDDEN = "10.0.0.1"
A_HUNDRED = tuple(b'{ "n": %d,\n "text": "\xc3\xa9" }' % number for number in range(100))


async def sent(
    sink: PushedSink,
    *payloads: bytes,
    seconds: float | None = None,
    first: int = 1,
    content_type: str | None = None,
) -> BatchResult:
    async with local_senders(seconds=seconds or patient(20)) as senders:
        return await senders[type(sink)].send(sink, a_batch(*payloads, first=first, content_type=content_type))


async def sent_to(
    kind: type[PushedSink], there: AbstractAsyncContextManager[Listener], *, seconds: float | None = None
) -> BatchResult:
    async with there as listener:
        return await sent(AT[kind]("127.0.0.1", listener.port), b"{}", b"{}", seconds=seconds)


def test_each_kind_of_destination_is_tried() -> None:
    assert AT.keys() == set(get_args(PushedSink))


def test_each_kind_that_is_no_receiver_of_webhooks_has_a_stand_on_its_program() -> None:
    stands = [each.taking for each in vars(batch_programs).values() if hasattr(each, "taking")]

    assert {get_type_hints(taking)["return"] for taking in stands} == AT.keys() - {FifoSink}


def test_each_program_is_tried() -> None:
    suites = [Path(__file__), Path(__file__).parents[1] / "brokers" / Path(__file__).name]
    openers = {name for name in vars(batch_programs) if name.endswith("_stand")}

    assert {name for name in openers for suite in suites if f"async with {name}(" in suite.read_text()} == openers


async def test_each_kind_has_its_sender() -> None:
    async with local_senders(seconds=1) as senders:
        assert senders.keys() >= AT.keys()


@pytest.mark.parametrize("kind", AT)
class TestInAnyNetwork:
    async def test_who_is_not_there_takes_nothing(self, kind: type[PushedSink]) -> None:
        assert failed(await sent_to(kind, nobody())) is ErrorType.CONNECT

    async def test_who_hangs_up_takes_nothing(self, kind: type[PushedSink]) -> None:
        assert failed(await sent_to(kind, hanging_up())) is ErrorType.RESET

    async def test_who_says_nothing_is_waited_for_until_the_timeout_and_no_longer(self, kind: type[PushedSink]) -> None:
        result = await sent_to(kind, silent(), seconds=0.3)

        assert failed(result) is ErrorType.TIMEOUT
        assert timedelta(seconds=0.2) < result.outcome.exchange.duration < timedelta(seconds=patient(5))

    @pytest.mark.parametrize("host", [FORBIDDEN, "0x0a000001"])
    async def test_a_forbidden_address_is_not_called(self, kind: type[PushedSink], host: str) -> None:
        assert failed(await sent(AT[kind](host, 1), b"{}")) is ErrorType.EGRESS

    async def test_a_name_that_does_not_exist_is_told(self, kind: type[PushedSink]) -> None:
        assert failed(await sent(AT[kind]("nowhere.invalid", 1), b"{}")) is ErrorType.DNS

    async def test_a_send_that_is_canceled_ends_at_once(self, kind: type[PushedSink]) -> None:
        async with silent() as listener, local_senders(seconds=patient(60)) as senders:
            sink = AT[kind]("127.0.0.1", listener.port)
            sending = asyncio.create_task(senders[kind].send(sink, a_batch(b"{}")))
            await listener.called.wait()

            sending.cancel()

            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(patient(5)):
                    await sending

    async def test_what_is_told_and_logged_holds_no_secret(
        self, kind: type[PushedSink], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            told = [
                await sent_to(kind, nobody()),
                await sent_to(kind, hanging_up()),
                await sent_to(kind, silent(), seconds=0.3),
            ]

        assert SECRET not in f"{told}{caplog.text}"
        assert SECRET not in repr(AT[kind]("127.0.0.1", 1))


@pytest.fixture(scope="session")
def servers() -> Iterator[Networked]:
    """PostgreSQL, which is always at hand."""
    with networked_postgres() as running:
        yield running


class OnAProgram:
    """Asks of a real program, which the fixture `stand` runs."""

    async def test_what_is_taken_has_arrived_byte_for_byte_and_in_order(self, stand: BatchStand) -> None:
        result = await sent(stand.taking(), *A_HUNDRED)

        assert isinstance(result.outcome, Taken)
        assert result.taken == len(A_HUNDRED)
        expected = [(f"msg_{number}", stand.carried(body)) for number, body in enumerate(A_HUNDRED, 1)]
        assert await stand.arrived() == expected

    async def test_batches_follow_each_other_over_one_connection(self, stand: BatchStand) -> None:
        async with local_senders(seconds=patient(20)) as senders:
            for first in (1, 3, 5):
                result = await senders[type(stand.taking())].send(stand.taking(), a_batch(b"1", b"2", first=first))
                assert isinstance(result.outcome, Taken)

        assert [message for message, _ in await stand.arrived()] == [f"msg_{number}" for number in range(1, 7)]

    async def test_who_refuses_takes_nothing_and_is_quoted(self, stand: BatchStand) -> None:
        result = await sent(stand.refusing(), b"{}", b"{}")

        assert failed(result) is ErrorType.REFUSED
        assert result.outcome.exchange.text

    async def test_a_wrong_password_is_told_without_it(self, stand: BatchStand) -> None:
        result = await sent(stand.with_another_password(), b"{}")

        assert failed(result) is ErrorType.REFUSED
        assert result.outcome.exchange.text
        assert SECRET not in str(result)

    async def test_a_large_message_is_taken_or_refused_as_such(self, stand: BatchStand) -> None:
        result = await sent(stand.taking(), b'"%s"' % (b"x" * 1024 * 1024))

        assert isinstance(result.outcome, Taken) or failed(result) is ErrorType.REFUSED


def failed(result: BatchResult) -> ErrorType:
    """Why nothing was taken."""
    assert result.taken == 0
    assert isinstance(result.outcome, Failed), result
    return result.outcome.error_type


class TestOnPostgres(OnAProgram):
    @pytest.fixture
    async def stand(self, servers: Networked) -> AsyncIterator[BatchStand]:
        async with postgres_stand(servers) as opened:
            yield opened
