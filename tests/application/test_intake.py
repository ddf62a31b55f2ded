"""The one way in for messages, on plain values: what was said, and what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from service.adapters.machine.clock import new_id
from service.api.schemas.messages import MessageHead
from service.application.intake import (
    Deferred,
    Kept,
    Receipt,
    Rejected,
    SameAgain,
    Submissions,
    refuse_malformed,
)
from service.application.payload_checks import PayloadChecks
from service.application.ports.intake import PayloadRule
from service.application.ports.pages import PageRequest
from service.application.ports.unit_of_work import UnitOfWork
from service.domain import errors
from service.domain.applications import NewApplication
from service.domain.errors import Invalid, RelevoError
from service.domain.ids import ApplicationId, MessageId, OrgId
from service.domain.limits import MAX_BODY_BYTES
from service.domain.messages import (
    Accepted,
    EventIdTaken,
    KeyTaken,
    NewMessage,
    Reception,
    Repeated,
    Submission,
    Unchecked,
    UnknownApplication,
)
from service.offloading.processes import Processes
from tests.support.clock import HandClock
from tests.support.factories import ORG
from tests.support.memory import MemoryStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FIRST = MessageId("msg_000000000000000000000000001")
TAKEN = Accepted(app_id=ApplicationId("app_000000000000000000000000001"), deliveries=1)
SAID = Submission(org_id=ORG, app="customer-1", event_type="invoice.paid", payload=b'{"n":1}')
TOO_SOON, TOO_LATE = timedelta(seconds=59), timedelta(hours=24, seconds=1)


class NoRules:
    """No event type vouches for its payloads."""

    async def rule(self, org_id: OrgId, event_type: str) -> PayloadRule | None:
        return None


class Receptionist:
    """Where messages come in, answering what it was told to, in order; what it raises, it was told as well."""

    def __init__(self, *answers: Reception | RelevoError) -> None:
        self._answers = iter(answers)
        self.messages: list[NewMessage] = []

    async def accept(self, message: NewMessage) -> Reception:
        self.messages.append(message)
        answer = next(self._answers)
        if isinstance(answer, RelevoError):
            raise answer
        return answer

    async def first_use(self, message: NewMessage) -> Repeated | KeyTaken | None:
        first = next(self._answers, None)
        assert first is None or isinstance(first, Repeated | KeyTaken)
        return first


class Way:
    """A way in, over memory."""

    def __init__(self, *answers: Reception | RelevoError) -> None:
        self.receptionist, self.store = Receptionist(*answers), MemoryStore()
        checks = PayloadChecks(NoRules(), Processes(workers=1, seconds=1))
        self.submissions = Submissions(
            self.receptionist, checks, begin=self._begin, clock=HandClock(NOW), new_id=new_id
        )

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[UnitOfWork]:
        work: Any = self.store.begin()
        yield work
        await work.commit()

    async def applications(self) -> list[str | None]:
        page = await self.store.begin().applications.page(ORG, PageRequest())
        return [application.uid for application in page.items]


async def test_what_was_said_is_kept_as_a_message_with_its_times_and_its_trace() -> None:
    way = Way(TAKEN)
    said = replace(
        SAID,
        event_id="invoice-42",
        channels=("project:7",),
        tags=("billing",),
        deliver_at=NOW + timedelta(hours=1),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    receipt = await way.submissions.take(said)

    (message,) = way.receptionist.messages
    assert receipt == Kept(message.id)
    assert (message.app, message.event_id, message.channels) == ("customer-1", "invoice-42", ("project:7",))
    assert (message.payload, message.traceparent) == (SAID.payload, said.traceparent)
    assert (message.accepted_at, message.expires_at) == (NOW, NOW + timedelta(days=90, hours=1))
    assert message.correlation_id


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([Repeated(id=FIRST)], SameAgain(FIRST)),
        ([EventIdTaken()], SameAgain(None)),
        ([KeyTaken()], errors.KeyReused),
        ([UnknownApplication()], errors.NotFound),
    ],
    ids=["the same key", "the same event id", "a key with another body", "no such application"],
)
async def test_whoever_comes_is_told_what_became_of_it_and_nothing_is_raised(
    answers: list[Reception], expected: Receipt | type[RelevoError]
) -> None:
    receipt = await Way(*answers).submissions.take(SAID)

    if isinstance(receipt, Rejected):
        assert type(receipt.error) is expected
    else:
        assert receipt == expected


@pytest.mark.parametrize(
    ("answers", "wait"),
    [
        ([errors.Busy(retry_after=3)], 3),
        ([errors.Unavailable(retry_after=2)], 2),
        ([Unchecked()] * 6, 1),
    ],
    ids=["busy", "the database is away", "the schema changes all the time"],
)
async def test_what_is_not_kept_because_of_us_is_refused_for_now_with_a_wait(
    answers: list[Reception | RelevoError], wait: int
) -> None:
    receipt = await Way(*answers).submissions.take(SAID)

    assert isinstance(receipt, Deferred)
    assert receipt.wait == wait


@pytest.mark.parametrize("ahead", [TOO_SOON, TOO_LATE])
async def test_what_is_to_be_delivered_too_soon_or_too_late_is_refused(ahead: timedelta) -> None:
    receipt = await Way().submissions.take(replace(SAID, deliver_at=NOW + ahead))

    assert isinstance(receipt, Rejected)
    assert isinstance(receipt.error, Invalid)
    assert receipt.error.field == ("deliver_at",)


async def test_a_repeat_that_comes_when_its_time_is_near_gets_the_first_answer() -> None:
    late_repeat = replace(SAID, deliver_at=NOW + TOO_SOON)

    assert await Way(Repeated(id=FIRST)).submissions.take(late_repeat) == SameAgain(FIRST)
    with pytest.raises(errors.KeyReused):
        await Way(KeyTaken()).submissions.submit(late_repeat)


async def test_an_application_that_comes_along_is_created_and_the_message_taken_once_more() -> None:
    way = Way(UnknownApplication(), TAKEN)
    said = replace(SAID, application=NewApplication(name="Customer", uid="customer-1"))

    receipt = await way.submissions.take(said)

    first, second = way.receptionist.messages
    assert receipt == Kept(first.id) == Kept(second.id)
    assert await way.applications() == ["customer-1"]


async def test_an_application_that_is_gone_again_at_once_is_not_found() -> None:
    said = replace(SAID, application=NewApplication(name="Customer", uid="customer-1"))

    with pytest.raises(errors.NotFound):
        await Way(UnknownApplication(), UnknownApplication()).submissions.submit(said)


@pytest.mark.parametrize("uid", [None, "customer-2"])
async def test_an_application_that_comes_along_is_the_one_that_the_message_is_for(uid: str | None) -> None:
    way = Way(UnknownApplication())

    receipt = await way.submissions.take(replace(SAID, application=NewApplication(name="Customer", uid=uid)))

    assert isinstance(receipt, Rejected)
    assert isinstance(receipt.error, Invalid)
    assert receipt.error.field == ("application", "uid")
    assert await way.applications() == []


# One table for both: what HTTP's schema refuses of a message's head is refused of plain values, and nothing else is.
HEADS: list[tuple[str, Any, bool]] = [
    ("event_type", "invoice.paid", True),
    ("event_type", "a" * 256, True),
    ("event_type", "", False),
    ("event_type", "a" * 257, False),
    ("event_type", "invoice paid", False),
    ("event_type", "invoice.paid\n", False),
    ("event_type", "rechnung.bezählt", False),
    ("event_id", "invoice-42", True),
    ("event_id", "", False),
    ("event_id", "msg_42", False),
    ("event_id", "a" * 257, False),
    ("event_id", "a\x00b", False),
    ("channels", ("project:7",), True),
    ("channels", ("a",) * 10, True),
    ("channels", (), False),
    ("channels", ("a",) * 11, False),
    ("channels", ("a,b",), False),
    ("channels", ("",), False),
    ("channels", ("a" * 129,), False),
    ("tags", ("billing/eu#1",), True),
    ("tags", ("a",) * 6, False),
    ("tags", ("a,b",), False),
    ("tags", ("a" * 129,), False),
]


@pytest.mark.parametrize(("field", "value", "holds"), HEADS)
def test_plain_values_and_http_are_held_against_the_same_rules(field: str, value: Any, holds: bool) -> None:
    said = replace(SAID, **{field: value})
    names = {"event_type": "eventType", "event_id": "eventId"}
    body = {"eventType": SAID.event_type, names.get(field, field): list(value) if isinstance(value, tuple) else value}

    if holds:
        refuse_malformed(said)
        MessageHead.model_validate(body)
    else:
        with pytest.raises(Invalid) as refused:
            refuse_malformed(said)
        with pytest.raises(ValidationError):
            MessageHead.model_validate(body)
        assert refused.value.field == (field,)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("application", {"app": ""}),
        ("application", {"app": "a\x00b"}),
        ("payload", {"payload": b""}),
        ("payload", {"payload": b"[1]"}),
        ("payload", {"payload": b'{"a":'}),
        ("payload", {"payload": b'{"a":"\xff"}'}),
        ("payload", {"payload": b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}'}),
        ("payload_kept", {"payload_kept": timedelta(0)}),
        ("payload_kept", {"payload_kept": timedelta(days=91)}),
        ("deliver_at", {"deliver_at": NOW.replace(tzinfo=None) + timedelta(hours=1)}),
    ],
)
async def test_what_no_message_can_be_is_refused_for_good_before_anybody_is_asked(
    field: str, changed: dict[str, Any]
) -> None:
    way = Way()

    receipt = await way.submissions.take(replace(SAID, **changed))

    assert isinstance(receipt, Rejected)
    assert isinstance(receipt.error, Invalid)
    assert receipt.error.field == (field,)
    assert way.receptionist.messages == []


async def test_a_payload_of_another_content_type_need_not_be_json() -> None:
    said = replace(SAID, payload=b"<paid/>", content_type="application/xml")

    assert isinstance(await Way(TAKEN).submissions.take(said), Kept)
