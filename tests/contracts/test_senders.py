"""What every Sender does, whatever kind of destination it reaches."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from typing import get_args

import pytest

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.domain.destinations import Destination, Parcel
from service.domain.ids import MessageId
from service.domain.outcomes import ErrorType, Failed, Outcome, RefusedForGood, RefusedForNow, Taken
from service.runtime.destinations import senders
from tests.support.certificates import NO_AUTHORITIES
from tests.support.patience import patient
from tests.support.stands import KINDS, SECRET, Manner, Stand

LARGEST_PAYLOAD = 1024 * 1024
EVERY_KIND = set(get_args(Destination)) or {Destination}
# What any destination over a network can do, so that a kind cannot pass by having no destinations to try.
DEMANDED = {
    Manner.TAKES,
    Manner.REFUSES,
    Manner.IS_SILENT,
    Manner.IS_NOT_THERE,
    Manner.HANGS_UP,
    Manner.IS_FORBIDDEN,
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with KINDS[request.param]() as opened:
        yield opened


async def sent(stand: Stand, manner: Manner, *, body: bytes = b"{}", seconds: float | None = None) -> Outcome:
    destination = stand.that(manner)
    if destination is None:
        pytest.skip(f"no destination of this kind {manner.value}")
    parcel = Parcel(message_id=MessageId("msg_1"), body=body, headers={"webhook-id": "msg_1"})
    return await stand.sender(seconds=seconds or patient(20)).send(destination, parcel)


async def test_each_kind_of_destination_has_its_sender_and_its_stand() -> None:
    egress = Egress([ip_network("127.0.0.0/8")])
    async with open_http_client(egress, concurrency=1, ssl_context=NO_AUTHORITIES) as client:
        table = senders(client, timeout=1, egress=egress)

    assert table.keys() == KINDS.keys() == EVERY_KIND


async def test_a_kind_is_tried_in_whatever_a_network_can_do(stand: Stand) -> None:
    assert not {manner for manner in DEMANDED if stand.that(manner) is None}


@pytest.mark.parametrize("body", [b'{ "n": 1.0,\n "text": "\xc3\xa9" }', b"", b"\x00\xff", b"x" * LARGEST_PAYLOAD])
async def test_what_is_taken_has_arrived_once_and_byte_for_byte(stand: Stand, body: bytes) -> None:
    outcome = await sent(stand, Manner.TAKES, body=body)

    assert isinstance(outcome, Taken)
    assert stand.arrived() == [("msg_1", body)]


async def test_who_wants_nothing_more_refuses_for_good(stand: Stand) -> None:
    assert isinstance(await sent(stand, Manner.WANTS_NO_MORE), RefusedForGood)


async def test_who_is_busy_refuses_for_now_and_its_wait_is_told(stand: Stand) -> None:
    outcome = await sent(stand, Manner.IS_BUSY)

    assert isinstance(outcome, RefusedForNow)
    assert outcome.wait == timedelta(seconds=7)


async def test_who_is_away_refuses_for_now(stand: Stand) -> None:
    outcome = await sent(stand, Manner.IS_AWAY)

    assert isinstance(outcome, RefusedForNow)
    assert outcome.wait is None


@pytest.mark.parametrize(
    ("manner", "error_type"),
    [
        (Manner.REFUSES, ErrorType.REFUSED),
        (Manner.IS_FAULTY, ErrorType.FAULT),
        (Manner.IS_NOT_THERE, ErrorType.CONNECT),
        (Manner.HANGS_UP, ErrorType.RESET),
        (Manner.IS_FORBIDDEN, ErrorType.EGRESS),
    ],
)
async def test_every_other_failure_has_its_reason(stand: Stand, manner: Manner, error_type: ErrorType) -> None:
    outcome = await sent(stand, manner)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is error_type
    assert manner is not Manner.IS_FORBIDDEN or not stand.arrived()


async def test_who_says_nothing_is_waited_for_until_the_timeout_and_no_longer(stand: Stand) -> None:
    outcome = await sent(stand, Manner.IS_SILENT, seconds=0.3)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.TIMEOUT
    assert timedelta(seconds=0.25) < outcome.exchange.duration < timedelta(seconds=patient(5))


async def test_a_large_message_is_refused_as_a_small_one_is(stand: Stand) -> None:
    outcome = await sent(stand, Manner.REFUSES, body=b"x" * LARGEST_PAYLOAD)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.REFUSED


async def test_an_answer_that_breaks_off_is_an_outcome_that_tells_of_it(stand: Stand) -> None:
    outcome = await sent(stand, Manner.BREAKS_OFF)

    assert outcome.exchange.broken or isinstance(outcome, Failed)


@pytest.mark.parametrize("manner", Manner)
async def test_what_is_told_can_be_kept_and_holds_no_secret(stand: Stand, manner: Manner) -> None:
    exchange = (await sent(stand, manner, seconds=0.3 if manner is Manner.IS_SILENT else None)).exchange

    assert exchange.duration > timedelta()
    assert len(exchange.text.encode()) <= 20_000
    assert "\0" not in exchange.text
    assert SECRET not in str(exchange)


async def test_a_send_that_is_canceled_ends_at_once(stand: Stand) -> None:
    sending = asyncio.create_task(sent(stand, Manner.IS_SILENT))
    await stand.heard()

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(patient(5)):
            await sending
