"""What a ReplayRepository does. What an endpoint wants is held to the domain in `adapters/test_subscriptions.py`."""

from datetime import UTC, datetime, timedelta

import pytest

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.domain import ids
from service.domain.deliveries import Status
from service.domain.ids import MessageId, TaskId
from service.domain.replays import UNDELIVERED, ReplayFilter, Stretch
from tests.contracts.conftest import BeginKept
from tests.support.sent import BROKE, accepted, an_address, sent

NOW, MINUTE = datetime.now(UTC), timedelta(minutes=1)
AFTER = MessageId(ids.lowest(ids.MESSAGE, NOW - 10 * MINUTE))
UNTIL = MessageId(ids.highest(ids.MESSAGE, NOW + MINUTE))
EVER = Stretch(after=AFTER, until=UNTIL, size=100)

WANTED: dict[str, tuple[ReplayFilter, int]] = {
    "all": (ReplayFilter(), 3),
    "what failed": (UNDELIVERED, 2),
    "what was delivered": (ReplayFilter(statuses=(Status.SUCCESS,)), 1),
    "an event type": (ReplayFilter(event_types=("x",)), 2),
    "a class of codes": (ReplayFilter(status_code_class=500), 2),
    "another class of codes": (ReplayFilter(status_code_class=400), 0),
    "failed and an event type": (ReplayFilter(statuses=(Status.FAIL,), event_types=("x",)), 1),
    "a channel": (ReplayFilter(channel="k"), 0),
    "a tag": (ReplayFilter(tag="t"), 0),
}


@pytest.mark.parametrize("name", WANTED)
async def test_what_was_sent_is_owed_again_as_far_as_it_is_wanted(shared: Database, kept: BeginKept, name: str) -> None:
    wanted, count = WANTED[name]
    _, endpoint = await an_address(shared)
    async with kept() as work:
        await sent(work, endpoint, at=NOW - 3 * MINUTE, event_type="x", outcome=BROKE)
        await sent(work, endpoint, at=NOW - 2 * MINUTE, event_type="y", outcome=BROKE)
        await sent(work, endpoint, at=NOW - MINUTE, event_type="x")

    async with kept() as work:
        task_id = TaskId(new_id(ids.TASK))
        counted = await work.replays.count_sent(endpoint, EVER, wanted)
        covered = await work.replays.sent(endpoint, task_id, EVER, wanted)
        again = await work.replays.sent(endpoint, task_id, EVER, wanted)

    assert (covered.count, covered.reached) == (count, UNTIL)
    assert counted == covered
    assert again.count == 0


async def test_counting_owes_nothing(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        await sent(work, endpoint, at=NOW - 3 * MINUTE, outcome=BROKE)
    await accepted(shared, application, at=NOW - 2 * MINUTE)
    await shared.pool.execute("DELETE FROM pending_delivery WHERE endpoint_id = $1", endpoint.id)

    async with kept() as work:
        of_sent = await work.replays.count_sent(endpoint, EVER, ReplayFilter())
        of_missing = await work.replays.count_missing(endpoint, EVER)

    owed = await shared.pool.fetchval("SELECT count(*) FROM pending_delivery WHERE endpoint_id = $1", endpoint.id)
    assert (of_sent.count, of_missing.count, owed) == (1, 1, 0)


async def test_a_stretch_ends_where_the_next_one_begins(shared: Database, kept: BeginKept) -> None:
    _, endpoint = await an_address(shared)
    async with kept() as work:
        messages = [(await sent(work, endpoint, at=NOW - age * MINUTE))[0] for age in (3, 2, 1)]

    async with kept() as work:
        task_id = TaskId(new_id(ids.TASK))
        first = await work.replays.sent(endpoint, task_id, Stretch(after=AFTER, until=UNTIL, size=2), ReplayFilter())
        rest = Stretch(after=first.reached, until=UNTIL, size=2)
        second = await work.replays.sent(endpoint, task_id, rest, ReplayFilter())

    assert (first.count, first.reached) == (2, messages[1].id)
    assert (second.count, second.reached) == (1, UNTIL)


async def test_what_was_missed_is_owed_and_what_was_sent_or_is_owed_is_not(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    async with kept() as work:
        await sent(work, endpoint, at=NOW - 3 * MINUTE)
    missed = await accepted(shared, application, at=NOW - 2 * MINUTE)
    await accepted(shared, application, at=NOW - MINUTE)
    await shared.pool.execute("DELETE FROM pending_delivery WHERE message_id = $1", missed.id)

    async with kept() as work:
        counted = await work.replays.count_missing(endpoint, EVER)
        covered = await work.replays.missing(endpoint, TaskId(new_id(ids.TASK)), EVER)

    owed = await shared.pool.fetch("SELECT resend FROM pending_delivery WHERE message_id = $1", missed.id)
    assert (covered.count, len(owed)) == (1, 1)
    assert counted == covered
    assert owed[0]["resend"] != ""
