"""What a caller is told of a message on its way in."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.application.messages import accept
from service.application.payload_checks import PayloadChecks
from service.application.ports.intake import PayloadRule
from service.domain import errors
from service.domain.ids import ApplicationId, MessageId, OrgId
from service.domain.messages import (
    Accepted,
    EventIdTaken,
    KeyReused,
    NewMessage,
    Reception,
    Repeated,
    UnknownApplication,
)
from service.offloading.processes import Processes
from tests.support.factories import new_message

TAKEN = Accepted(app_id=ApplicationId("app_000000000000000000000000001"), deliveries=1)


class NoRules:
    """No event type vouches for its payloads."""

    async def rule(self, org_id: OrgId, event_type: str) -> PayloadRule | None:
        return None


@pytest.fixture
def checks() -> PayloadChecks:
    return PayloadChecks(NoRules(), Processes(workers=1, seconds=1))


class Receptionist:
    """An intake that answers what it was told to, in order."""

    def __init__(self, *receptions: Reception) -> None:
        self._receptions = iter(receptions)

    async def accept(self, message: NewMessage) -> Reception:
        assert message
        return next(self._receptions)

    async def first_use(self, message: NewMessage) -> Repeated | KeyReused | None:
        assert message
        first = next(self._receptions, None)
        assert first is None or isinstance(first, Repeated | KeyReused)
        return first


async def test_a_message_is_kept_under_its_own_id(checks: PayloadChecks) -> None:
    message = new_message("app")

    assert await accept(Receptionist(TAKEN), message, checks=checks) == message.id


async def test_a_repeat_goes_by_the_id_of_the_first(checks: PayloadChecks) -> None:
    first = MessageId("msg_000000000000000000000000001")

    assert await accept(Receptionist(Repeated(id=first)), new_message("app"), checks=checks) == first


@pytest.mark.parametrize(
    ("reception", "error"),
    [
        (KeyReused(), errors.KeyReused),
        (EventIdTaken(), errors.Conflict),
        (UnknownApplication(), errors.NotFound),
    ],
)
async def test_what_was_not_kept_is_an_error(
    reception: Reception, error: type[errors.RelevoError], checks: PayloadChecks
) -> None:
    with pytest.raises(error):
        await accept(Receptionist(reception), new_message("app"), checks=checks)


async def test_an_unknown_application_is_created_once_and_the_message_taken_again(checks: PayloadChecks) -> None:
    created: list[str] = []

    async def create() -> None:
        created.append("app")

    message = new_message("app")
    kept_as = await accept(Receptionist(UnknownApplication(), TAKEN), message, checks=checks, create_application=create)

    assert (kept_as, created) == (message.id, ["app"])


async def test_an_application_that_is_gone_again_at_once_is_not_found(checks: PayloadChecks) -> None:
    async def create() -> None:
        return

    with pytest.raises(errors.NotFound):
        await accept(
            Receptionist(UnknownApplication(), UnknownApplication()),
            new_message("app"),
            checks=checks,
            create_application=create,
        )


TOO_SOON, TOO_LATE = timedelta(seconds=59), timedelta(hours=24, seconds=1)


@pytest.mark.parametrize("ahead", [TOO_SOON, TOO_LATE])
async def test_what_is_to_be_delivered_too_soon_or_too_late_is_refused(ahead: timedelta, checks: PayloadChecks) -> None:
    message = new_message("app")
    untimely = replace(message, deliver_at=message.accepted_at + ahead)

    with pytest.raises(errors.Invalid) as refused:
        await accept(Receptionist(), untimely, checks=checks)

    assert refused.value.loc == ("body", "deliverAt")


async def test_a_repeat_that_comes_when_its_time_is_near_gets_the_first_answer(checks: PayloadChecks) -> None:
    message = new_message("app")
    late_repeat = replace(message, deliver_at=message.accepted_at + TOO_SOON)
    first = MessageId("msg_000000000000000000000000001")

    assert await accept(Receptionist(Repeated(id=first)), late_repeat, checks=checks) == first
    with pytest.raises(errors.KeyReused):
        await accept(Receptionist(KeyReused()), late_repeat, checks=checks)
