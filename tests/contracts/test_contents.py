"""What a ContentRepository does."""

from datetime import UTC, datetime, timedelta

from service.adapters.postgres.server.database import Database
from service.domain import ids
from service.domain.ids import MessageId
from service.domain.replays import Stretch
from tests.contracts.conftest import BeginKept
from tests.support.sent import accepted, an_address, sent

NOW, MINUTE = datetime.now(UTC), timedelta(minutes=1)


async def test_payloads_are_removed_of_the_messages_that_are_named(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    first, second = [await accepted(shared, application, at=NOW) for _ in range(2)]
    foreign = await accepted(shared, other, at=NOW)

    async with kept() as work:
        await work.contents.expunge(application.id, [first.id, foreign.id])

    async with kept() as work:
        found = [
            await work.messages.get(owner.id, message.id, with_content=True)
            for owner, message in ((application, first), (application, second), (other, foreign))
        ]
    assert [message and message.payload for message in found] == [None, second.payload, foreign.payload]


async def test_messages_are_named_by_id_and_event_id(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    by_id = await accepted(shared, application, at=NOW)
    by_event_id = await accepted(shared, application, at=NOW, event_id="e")
    foreign = await accepted(shared, other, at=NOW, event_id="f")

    async with kept() as work:
        named = await work.contents.named(application.id, [by_id.id, "e", "f", foreign.id, "unknown"])

    assert named == {by_id.id: by_id.id, "e": by_event_id.id}


async def test_of_an_attempt_what_was_said_both_ways_is_removed(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        message, attempt = await sent(work, endpoint, at=NOW)
        await work.contents.expunge_attempt(attempt, application.id)

    async with kept() as work:
        found = await work.deliveries.attempt(application.id, message.id, attempt.id)
    assert found is not None
    assert (found.response, found.request_headers, found.response_headers) == ("EXPUNGED", (), ())
    assert found.response_status_code == attempt.response_status_code


async def test_all_of_an_application_goes_stretch_by_stretch(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    messages = [await accepted(shared, application, at=NOW - age * MINUTE) for age in (4, 3, 2)]
    late = await accepted(shared, application, at=NOW)
    after = MessageId(ids.lowest(ids.MESSAGE, NOW - 5 * MINUTE))
    until = MessageId(ids.highest(ids.MESSAGE, NOW - MINUTE))

    async with kept() as work:
        first = await work.contents.expunge_all(application.id, Stretch(after=after, until=until, size=2))
        second = await work.contents.expunge_all(application.id, Stretch(after=first.reached, until=until, size=2))
        again = await work.contents.expunge_all(application.id, Stretch(after=after, until=until, size=9))
        left = await work.messages.get(application.id, late.id, with_content=True)

    assert (first.count, first.reached) == (2, messages[1].id)
    assert (second.count, second.reached) == (1, until)
    assert again.count == 0
    assert left is not None
    assert left.payload == late.payload
