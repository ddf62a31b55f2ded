"""What an Outbox does."""

from contextlib import suppress
from dataclasses import replace

from service.adapters.postgres.server.database import Database
from tests.contracts.conftest import BeginKept
from tests.support.factories import new_message
from tests.support.sent import an_address

OWED = "SELECT endpoint_id FROM pending_delivery WHERE message_id = $1"


async def test_a_message_is_owed_with_the_transaction_that_sends_it(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)
    message = new_message(application.id)

    async with kept() as work:
        await work.outbox.send(message)
        assert await shared.pool.fetch(OWED, message.id) == []

    assert [row["endpoint_id"] for row in await shared.pool.fetch(OWED, message.id)] == [endpoint.id]


async def test_what_is_undone_was_never_sent(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    message = new_message(application.id)

    with suppress(ZeroDivisionError):
        async with kept() as work:
            await work.outbox.send(message)
            raise ZeroDivisionError

    assert await shared.pool.fetch(OWED, message.id) == []
    async with kept() as work:
        assert await work.messages.get(application.id, message.id, with_content=False) is None


async def test_nothing_happens_where_nobody_is_to_be_told(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    message = replace(new_message(application.id), app="app_of_nobody")

    async with kept() as work:
        await work.outbox.send(message)

    assert await shared.pool.fetch(OWED, message.id) == []
