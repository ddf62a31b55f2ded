"""What a DeliveryRepository does."""

from datetime import UTC, datetime, timedelta

from service.adapters.postgres.server.database import Database
from service.application.ports.pages import AttemptFilter, PageRequest
from service.domain.deliveries import Status
from service.domain.messages import Message
from tests.contracts.conftest import BeginKept
from tests.support.sent import BROKE, accepted, an_address, sent

NOW, MINUTE = datetime.now(UTC), timedelta(minutes=1)
ALL, PAGE = AttemptFilter(), PageRequest()


async def test_attempts_are_found_by_id_in_their_application(shared: Database, kept: BeginKept) -> None:
    (application, endpoint), (other, _) = await an_address(shared), await an_address(shared)
    async with kept() as work:
        message, attempt = await sent(work, endpoint, at=NOW)

    async with kept() as work:
        assert await work.deliveries.attempt(application.id, message.id, attempt.id) == attempt
        assert await work.deliveries.attempts(application.id, [attempt.id]) == [attempt]
        assert await work.deliveries.attempt(other.id, message.id, attempt.id) is None
        assert await work.deliveries.attempts(other.id, [attempt.id]) == []


async def test_attempts_are_listed_by_message_and_by_endpoint(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        _, old = await sent(work, endpoint, at=NOW - MINUTE, outcome=BROKE)
        message, young = await sent(work, endpoint, at=NOW)

    async with kept() as work:
        found = await work.messages.get(application.id, message.id, with_content=False)
        assert found is not None
        by_message = await work.deliveries.attempts_by_message(found, PAGE, ALL)
        by_endpoint = await work.deliveries.attempts_by_endpoint(application.id, endpoint.id, PAGE, ALL)
        failed = await work.deliveries.attempts_by_endpoint(
            application.id, endpoint.id, PAGE, AttemptFilter(status=Status.FAIL)
        )

    assert by_message.items == [young]
    assert by_endpoint.items == [young, old]
    assert failed.items == [old]


async def test_what_was_sent_stands_as_it_ended_and_what_was_never_tried_is_not_shown(
    shared: Database, kept: BeginKept
) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        bad, _ = await sent(work, endpoint, at=NOW - MINUTE, outcome=BROKE)
        good, _ = await sent(work, endpoint, at=NOW)
    await accepted(shared, application, at=NOW + MINUTE)

    async with kept() as work:
        states = (await work.deliveries.messages(application.id, endpoint.id, PAGE, ALL)).items

    assert [(message.id, state.status, state.attempts) for message, state in states] == [
        (good.id, Status.SUCCESS, 1),
        (bad.id, Status.FAIL, 1),
    ]


async def test_a_message_knows_its_endpoints_the_deleted_too(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        message, _ = await sent(work, endpoint, at=NOW)
        await work.endpoints.delete(endpoint, at=NOW)

    async with kept() as work:
        found = await work.messages.get(application.id, message.id, with_content=False)
        assert found is not None
        ((where, state),) = (await work.deliveries.states(found, PAGE)).items

    assert (where.id, state.status, state.next_attempt_at) == (endpoint.id, Status.SUCCESS, None)


async def test_a_manual_attempt_is_owed_once_for_each_time_that_it_is_asked_for(
    shared: Database, kept: BeginKept
) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        kept_message, _ = await sent(work, endpoint, at=NOW)

    async with kept() as work:
        message: Message | None = await work.messages.get(application.id, kept_message.id, with_content=True)
        assert message is not None
        for resend in ("one", "other"):
            await work.deliveries.resend(message, endpoint, resend=resend, at=NOW)

    owed = await shared.pool.fetch(
        "SELECT resend, again, previous FROM pending_delivery WHERE message_id = $1 ORDER BY resend", message.id
    )
    previous = f"00-{'a' * 32}-{'b' * 16}-01"
    assert [tuple(row) for row in owed] == [("one", True, previous), ("other", True, previous)]
