"""Which endpoint wants a message, as each statement says it: the table of the domain goes through all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.machine.clock import new_id
from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.queue.intake import accepting
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from service.application.ports.ordered import Extent
from service.application.ports.pages import PageRequest
from service.domain import ids
from service.domain.destinations import HttpDestination
from service.domain.endpoints import NewEndpoint
from service.domain.ids import ApplicationId, MessageId, TaskId
from service.domain.replays import Stretch
from service.domain.subscriptions import is_meant
from tests.support import postgres
from tests.support.factories import VAULT, add_application, add_endpoint, new_message
from tests.support.subscriptions import CASES, Case

PAGE = PageRequest()
EVER = Stretch(
    after=MessageId(ids.lowest(ids.MESSAGE, datetime.now(UTC) - timedelta(days=1))),
    until=MessageId(ids.highest(ids.MESSAGE, datetime.now(UTC) + timedelta(days=1))),
    size=100,
)


@pytest.fixture(scope="module")
async def database(migrated_server: EmbeddedServer) -> AsyncIterator[Database]:
    async with postgres.fresh_database(migrated_server) as url, open_database(url) as opened:
        yield opened


async def with_an_endpoint(pool: asyncpg.Pool, case: Case, app: ApplicationId) -> None:
    endpoint = await add_endpoint(
        pool,
        app,
        event_types=None if case.event_types is None else list(case.event_types),
        channels=None if case.channels is None else list(case.channels),
        disabled=case.disabled,
    )
    if case.deleted:
        await pool.execute("UPDATE endpoint SET deleted_at = now() WHERE id = $1", endpoint)


async def test_what_is_accepted_is_owed_to_who_wants_it(database: Database) -> None:
    messages = {}
    for name, case in CASES.items():
        app = await add_application(database.pool)
        await with_an_endpoint(database.pool, case, app)
        messages[name] = new_message(app, event_type=case.message_type, channels=case.message_channels)

    rows = await database.pool.fetch(*accepting(list(messages.values())))

    owed = {row["id"]: row["deliveries"] == 1 for row in rows}
    assert {name: owed[message.id] for name, message in messages.items()} == {
        name: case.wanted for name, case in CASES.items()
    }


async def test_an_example_is_wanted_by_who_would_be_sent_a_message(database: Database) -> None:
    wanted = {}
    async with open_unit_of_work(database.sessions, VAULT) as work:
        for name, case in CASES.items():
            app = await add_application(database.pool)
            await with_an_endpoint(database.pool, case, app)
            wanted[name] = await work.examples.wanted(app, case.message_type, case.message_channels)

    assert wanted == {name: case.wanted for name, case in CASES.items()}


async def test_what_was_missed_is_what_is_meant_for_the_endpoint(database: Database) -> None:
    found, meant = {}, {}
    for name, case in CASES.items():
        if case.deleted or case.disabled:
            continue  # whom nobody finds, or may send to: the use case refuses before
        app = await add_application(database.pool)
        before = new_message(app, event_type=case.message_type, channels=case.message_channels)
        await database.pool.fetch(*accepting([before]))
        await with_an_endpoint(database.pool, case, app)
        async with open_unit_of_work(database.sessions, VAULT) as work:
            (endpoint,) = (await work.endpoints.page(app, PAGE)).items
            covered = await work.replays.missing(endpoint, TaskId(new_id(ids.TASK)), EVER)
        found[name] = covered.count == 1
        meant[name] = is_meant(endpoint, event_type=case.message_type, channels=case.message_channels)

    assert found == meant
    assert set(found.values()) == {True, False}


async def test_what_is_read_of_a_stream_is_what_is_meant_for_an_endpoint_with_these_wishes(database: Database) -> None:
    found, meant = {}, {}
    for name, case in CASES.items():
        app = await add_application(database.pool)
        async with open_unit_of_work(database.sessions, VAULT) as work:
            await work.destinations.position_at(app)
        message = new_message(app, event_type=case.message_type, channels=case.message_channels)
        await database.pool.fetch(*accepting([message]))
        extent = Extent(messages=1, event_types=case.event_types, channels=case.channels)
        async with open_unit_of_work(database.sessions, VAULT) as work:
            passage = await work.destinations.read(app, extent, after=0)
        found[name] = len(passage.messages) == 1
        wishes = NewEndpoint(
            destination=HttpDestination(url="http://a"), event_types=case.event_types, channels=case.channels
        )
        meant[name] = is_meant(wishes, event_type=case.message_type, channels=case.message_channels)

    assert found == meant
    assert set(found.values()) == {True, False}
