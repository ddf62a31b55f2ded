"""What an ExampleRepository does. Which endpoint wants one the domain says, see `adapters/test_subscriptions.py`."""

from datetime import UTC, datetime

from service.adapters.postgres.server.database import Database
from service.application.ports.pages import AttemptFilter, PageRequest
from tests.contracts.conftest import BeginKept
from tests.support.sent import BROKE, an_address, sent

NOW = datetime.now(UTC)


async def test_an_example_is_kept_where_every_message_is(shared: Database, kept: BeginKept) -> None:
    application, endpoint = await an_address(shared)

    async with kept() as work:
        message, attempt = await sent(work, endpoint, at=NOW, outcome=BROKE)

    async with kept() as work:
        found = await work.messages.get(application.id, message.id, with_content=True)
        ((_, state),) = (
            await work.deliveries.messages(application.id, endpoint.id, PageRequest(), AttemptFilter())
        ).items
    assert found is not None
    assert (found.payload, found.event_type) == (message.payload, message.event_type)
    assert (state.status, state.attempts) == (attempt.status, 1)


async def test_an_example_of_an_application_without_endpoints_is_wanted_by_nobody(
    shared: Database, kept: BeginKept
) -> None:
    application, endpoint = await an_address(shared)

    async with kept() as work:
        assert await work.examples.wanted(application.id, "invoice.paid", None)
        await work.endpoints.delete(endpoint, at=NOW)
        assert not await work.examples.wanted(application.id, "invoice.paid", None)
