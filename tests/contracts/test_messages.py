"""What a MessageRepository does."""

from datetime import UTC, datetime, timedelta

import pytest

from service.adapters.postgres.server.database import Database
from service.application.ports.pages import STANDING, MessageFilter, PageRequest
from tests.contracts.conftest import BeginKept
from tests.support.sent import BROKE, TAKEN, accepted, an_address, sent

NOW, MINUTE = datetime.now(UTC), timedelta(minutes=1)
UPWARDS = PageRequest(ascending=True)


async def test_a_message_is_found_by_id_and_by_event_id_in_its_application(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    message = await accepted(shared, application, at=NOW, event_id="e-1", channels=("a",), tags=("t",))

    async with kept() as work:
        found = await work.messages.get(application.id, message.id, with_content=True)
        assert found == await work.messages.get(application.id, "e-1", with_content=True)
        assert await work.messages.get(other.id, message.id, with_content=True) is None
        assert await work.messages.get(other.id, "e-1", with_content=True) is None
        assert await work.messages.get(application.id, "e-2", with_content=True) is None
        bare = await work.messages.get(application.id, message.id, with_content=False)

    assert found is not None
    assert bare is not None
    assert (found.id, found.event_id, found.channels, found.tags) == (message.id, "e-1", ("a",), ("t",))
    assert (found.payload, bare.payload) == (message.payload, None)


async def test_pages_go_by_time_in_either_direction(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    first, second, third = [(await accepted(shared, application, at=NOW - age * MINUTE)).id for age in (3, 2, 1)]

    async with kept() as work:
        page = await work.messages.page(application.id, PageRequest(limit=2), MessageFilter())
        rest = await work.messages.page(application.id, PageRequest(after=second), MessageFilter())
        upwards = await work.messages.page(application.id, UPWARDS, MessageFilter())
        back = await work.messages.page(application.id, PageRequest(after=first, backwards=True), MessageFilter())

    assert ([found.id for found in page.items], page.done) == ([third, second], False)
    assert ([found.id for found in rest.items], rest.done) == ([first], True)
    assert [found.id for found in upwards.items] == [first, second, third]
    assert [found.id for found in back.items] == [third, second]


WANTED: dict[str, tuple[MessageFilter, set[str]]] = {
    "all": (MessageFilter(), {"a", "b", "c"}),
    "an event type": (MessageFilter(event_types=("x",)), {"a", "b"}),
    "several event types": (MessageFilter(event_types=("x", "y", "z")), {"a", "b", "c"}),
    "no event type that there is": (MessageFilter(event_types=()), set()),
    "a channel": (MessageFilter(channel="k"), {"a", "c"}),
    "a tag": (MessageFilter(tag="t"), {"b"}),
    "a tag is no channel": (MessageFilter(channel="t"), set()),
    "channel and event type": (MessageFilter(channel="k", event_types=("x",)), {"a"}),
    "channel and tag": (MessageFilter(channel="k", tag="t"), set()),
    "before": (MessageFilter(before=NOW - 2 * MINUTE), {"a"}),
    "after": (MessageFilter(after=NOW - 2.5 * MINUTE), {"b", "c"}),
    "between": (MessageFilter(after=NOW - 2.5 * MINUTE, before=NOW - 1.5 * MINUTE), {"b"}),
}


async def test_filters_leave_out_what_is_not_wanted(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    await accepted(shared, application, at=NOW - 3 * MINUTE, event_id="a", event_type="x", channels=("k",))
    await accepted(shared, application, at=NOW - 2 * MINUTE, event_id="b", event_type="x", tags=("t",))
    await accepted(shared, application, at=NOW - MINUTE, event_id="c", event_type="y", channels=("k", "l"))

    async with kept() as work:
        found = {
            name: {item.event_id for item in (await work.messages.page(application.id, PageRequest(), wanted)).items}
            for name, (wanted, _) in WANTED.items()
        }

    assert found == {name: expected for name, (_, expected) in WANTED.items()}


async def test_messages_are_found_by_how_a_delivery_of_theirs_stands(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    await accepted(shared, application, at=NOW, event_type="x")

    async with kept() as work:
        (taken, _), (broke, _) = [
            await sent(work, endpoint, at=NOW - MINUTE, outcome=outcome, event_type="x") for outcome in (TAKEN, BROKE)
        ]
        found = {
            (status, types): [
                item.id
                for item in (
                    await work.messages.page(
                        application.id, PageRequest(), MessageFilter(standing=status, event_types=types)
                    )
                ).items
            ]
            for status in STANDING
            for types in (None, ("x",), ("y",))
        }

    for types in (None, ("x",)):
        assert [found[status, types] for status in STANDING] == [[taken.id], [broke.id], [], []]
    assert not any(found[status, ("y",)] for status in STANDING)


async def test_messages_are_found_by_ids_without_their_payloads(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    mine, foreign = await accepted(shared, application, at=NOW), await accepted(shared, other, at=NOW)

    async with kept() as work:
        found = await work.messages.by_ids(application.id, [mine.id, foreign.id])

    assert [(item.id, item.payload) for item in found] == [(mine.id, None)]


@pytest.mark.parametrize("with_content", [True, False])
async def test_a_page_has_payloads_when_they_are_wanted(shared: Database, kept: BeginKept, with_content: bool) -> None:
    application, _ = await an_address(shared)
    message = await accepted(shared, application, at=NOW)

    async with kept() as work:
        wanted = MessageFilter(with_content=with_content)
        (found,) = (await work.messages.page(application.id, PageRequest(), wanted)).items

    assert found.payload == (message.payload if with_content else None)
