"""One attempt, from the claim to what is kept of it; the receiver's answer is the test's."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from service.adapters.machine.clock import new_id
from service.adapters.machine.ed25519 import Ed25519
from service.application.ports.destinations import Sender
from service.delivery.attempts import Attempts, Courier
from service.domain.deliveries import Claim, Settled, Settlement, Status, Trigger
from service.domain.destinations import HttpDestination, Parcel
from service.domain.errors import Unavailable
from service.domain.ids import EndpointId
from service.domain.outcomes import ErrorType, Outcome
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain
from service.domain.signatures import Signing
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import open_telemetry
from tests.support.factories import SECRET, a_claim
from tests.support.outcomes import answered, failed

OK = answered(200, text="thanks")
BROKEN = answered(500, text="oops")
GONE = answered(410)
SILENT = failed(ErrorType.TIMEOUT, text="no answer within 15 s", duration=timedelta(seconds=15))


def unheard(_: Outcome | None) -> None:
    """What is judged is of no matter here."""


@dataclass
class Queue:
    """Keeps what is settled; `away` times it is not there, and some answers it can never keep."""

    away: int = 0
    unkeepable: tuple[str, ...] = ()
    settled: list[Settlement] = field(default_factory=list)

    async def settle(self, settlement: Settlement) -> Settled:
        if settlement.attempt and settlement.attempt.response in self.unkeepable:
            raise ValueError("a row that the database refuses")
        if self.away:
            self.away -= 1
            raise Unavailable
        self.settled.append(settlement)
        return Settled(applied=True, endpoint_switched_off=False)

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        return []

    async def release(self, claims: Sequence[Claim]) -> None: ...

    async def wait(self) -> None: ...


@dataclass
class Receiver:
    """Answers as told and remembers what came."""

    outcome: Outcome
    calls: list[tuple[HttpDestination, Parcel]] = field(default_factory=list)

    async def send(self, destination: HttpDestination, parcel: Parcel) -> Outcome:
        self.calls.append((destination, parcel))
        return self.outcome


class Broken:
    """A sender with a fault of its own."""

    async def send(self, destination: HttpDestination, parcel: Parcel) -> Outcome:
        raise RuntimeError("marker: what an exception says is for nobody")


class Now:
    """The system's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
async def told() -> AsyncIterator[DeliveryTelemetry]:
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        yield DeliveryTelemetry(telemetry)


def a_courier(queue: Queue, receiver: Sender[HttpDestination], told: DeliveryTelemetry) -> Courier:
    attempts = Attempts(
        senders={HttpDestination: receiver},
        clock=Now(),
        new_id=new_id,
        telemetry=told,
        schedule=(timedelta(seconds=5), timedelta(minutes=5)),
        signing=Signing(families=("webhook", "svix"), ed25519=Ed25519().sign),
    )
    return Courier(queue=queue, attempts=attempts, telemetry=told, give_up_after=timedelta(seconds=30))


async def test_what_is_sent_is_the_payload_signed_in_both_families(told: DeliveryTelemetry) -> None:
    queue, receiver = Queue(), Receiver(OK)
    claim = a_claim(payload=b'{ "n":1.0 }', headers={"X-Custom": "yes", "webhook-id": "not this"})

    await a_courier(queue, receiver, told).carry(claim, unheard)

    ((destination, parcel),) = receiver.calls
    assert (destination, parcel.body) == (claim.destination, claim.payload)
    assert parcel.headers["webhook-id"] == parcel.headers["svix-id"] == parcel.message_id == claim.message_id
    assert Webhook(SECRET.text).verify(parcel.body, dict(parcel.headers)) == {"n": 1.0}


async def test_what_is_not_plain_json_is_sent_as_what_it_is(told: DeliveryTelemetry) -> None:
    receiver = Receiver(OK)

    await a_courier(Queue(), receiver, told).carry(a_claim(payload=b"<xml/>", content_type="application/xml"), unheard)

    ((_, parcel),) = receiver.calls
    assert (parcel.content_type, parcel.body) == ("application/xml", b"<xml/>")


@pytest.mark.parametrize(
    ("outcome", "verdict", "status", "code"),
    [
        (OK, Delivered, Status.SUCCESS, 200),
        (BROKEN, TryAgain, Status.FAIL, 500),
        (GONE, Gone, Status.FAIL, 410),
        (SILENT, TryAgain, Status.FAIL, 0),
    ],
)
async def test_what_came_of_it_is_kept(
    told: DeliveryTelemetry, outcome: Outcome, verdict: type, status: Status, code: int
) -> None:
    queue = Queue()

    await a_courier(queue, Receiver(outcome), told).carry(a_claim(), unheard)

    (settlement,) = queue.settled
    assert isinstance(settlement.verdict, verdict)
    assert settlement.attempt is not None
    assert (settlement.attempt.status, settlement.attempt.response_status_code) == (status, code)


async def test_headers_both_ways_and_what_cut_a_success_short_are_kept(told: DeliveryTelemetry) -> None:
    queue = Queue()
    exchange = replace(OK.exchange, broken=ErrorType.TIMEOUT, received=(("server", "x"),), sent=(("X-A", "a"),))
    outcome = replace(OK, exchange=exchange)

    await a_courier(queue, Receiver(outcome), told).carry(a_claim(), unheard)

    [settlement] = queue.settled
    assert isinstance(settlement.verdict, Delivered)
    attempt = settlement.attempt
    assert attempt is not None
    assert (attempt.status, attempt.response_status_code, attempt.error_type) == (Status.SUCCESS, 200, "timeout")
    assert (attempt.request_headers, attempt.response_headers) == ((("X-A", "a"),), (("server", "x"),))
    assert attempt.reason == "After the status 200, the rest of the answer did not come in time."


async def test_the_last_failure_of_the_schedule_exhausts_the_delivery(told: DeliveryTelemetry) -> None:
    queue = Queue()

    await a_courier(queue, Receiver(BROKEN), told).carry(a_claim(attempt=3), unheard)

    assert [settlement.verdict for settlement in queue.settled] == [Exhausted(reason="attempts_used_up")]


async def test_a_manual_attempt_that_fails_is_not_tried_again(told: DeliveryTelemetry) -> None:
    queue = Queue()

    await a_courier(queue, Receiver(BROKEN), told).carry(a_claim(trigger=Trigger.MANUAL, resend="r"), unheard)

    assert [settlement.verdict for settlement in queue.settled] == [Exhausted(reason="manual")]


@pytest.mark.parametrize(
    ("changed", "reason"), [({"endpoint_active": False}, "endpoint_disabled"), ({"payload": None}, "payload_removed")]
)
async def test_what_cannot_be_sent_is_canceled_without_a_call(
    told: DeliveryTelemetry, changed: dict[str, Any], reason: str
) -> None:
    queue, receiver = Queue(), Receiver(OK)

    await a_courier(queue, receiver, told).carry(a_claim(**changed), unheard)

    assert receiver.calls == []
    assert [(s.verdict, s.attempt) for s in queue.settled] == [(Canceled(reason=reason), None)]


async def test_what_another_attempt_has_delivered_is_settled_without_a_call(told: DeliveryTelemetry) -> None:
    queue, receiver = Queue(), Receiver(OK)

    await a_courier(queue, receiver, told).carry(a_claim(delivered=True, endpoint_active=False), unheard)

    assert receiver.calls == []
    assert [(s.verdict, s.attempt) for s in queue.settled] == [(Delivered(), None)]


async def test_an_outcome_is_kept_once_the_database_is_back(told: DeliveryTelemetry) -> None:
    queue, receiver = Queue(away=2), Receiver(OK)

    await a_courier(queue, receiver, told).carry(a_claim(), unheard)

    assert (len(receiver.calls), len(queue.settled)) == (1, 1)


async def test_a_fault_of_ours_is_an_attempt_that_is_counted_told_and_made_again(told: DeliveryTelemetry) -> None:
    queue = Queue()

    outcomes: list[Outcome | None] = []

    await a_courier(queue, Broken(), told).carry(a_claim(), outcomes.append)

    (settlement,) = queue.settled
    assert outcomes == [None], "it says nothing of the receiver"
    assert isinstance(settlement.verdict, TryAgain)
    assert settlement.attempt is not None
    assert (settlement.attempt.error_type, settlement.attempt.status) == ("internal", Status.FAIL)
    assert "marker" not in settlement.attempt.response


async def test_an_answer_that_cannot_be_kept_is_left_out_and_the_attempt_is_kept(told: DeliveryTelemetry) -> None:
    queue = Queue(unkeepable=("thanks",))

    await a_courier(queue, Receiver(OK), told).carry(a_claim(), unheard)

    (settlement,) = queue.settled
    assert settlement.attempt is not None
    assert (settlement.attempt.response, settlement.attempt.response_status_code) == ("", 200)


async def test_an_attempt_that_cannot_be_kept_at_all_is_not_sent_again_by_the_courier(told: DeliveryTelemetry) -> None:
    queue, receiver = Queue(unkeepable=("thanks", "")), Receiver(OK)

    with pytest.raises(ValueError, match="the database refuses"):
        await a_courier(queue, receiver, told).carry(a_claim(), unheard)

    assert (len(receiver.calls), queue.settled) == (1, [])


async def test_the_outcome_is_told_before_it_is_settled(told: DeliveryTelemetry) -> None:
    queue, settled_before = Queue(), list[int]()

    await a_courier(queue, Receiver(OK), told).carry(a_claim(), lambda _: settled_before.append(len(queue.settled)))

    assert (settled_before, len(queue.settled)) == ([0], 1)
