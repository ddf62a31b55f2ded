"""What a move does in the databases, where nothing but an accident would show it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.postgres.moves.connection import MoversConnection
from service.adapters.postgres.moves.source import PostgresMoveSource
from service.adapters.postgres.moves.target import PostgresMoveTarget
from service.adapters.postgres.queue.ordered import ADVANCE, IDLE, RELEASE, REST
from service.adapters.postgres.repositories.sources import ENABLED
from service.application.ports.moves import MovedRows
from service.domain.moves import SET_ASIDE, MoveTaken
from tests.support.databases import asking
from tests.support.factories import ORG, add_application, add_endpoint

PLACED = "INSERT INTO organisation (org_id, residence) VALUES ($1, $2)"
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum"
OWED = """
    INSERT INTO pending_delivery (endpoint_id, message_id, resend, org_id, app_id, attempts, due_at)
    VALUES ($1, 'msg_1', '', $2, $3, 0, now() + $4::interval)
"""
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
AT_TRANSACTIONS = f"SELECT count(*) {OTHERS} AND query LIKE '%virtualxid%'"
RESIDENCE = "SELECT residence FROM organisation WHERE org_id = $1"
APPLICATION = """
    INSERT INTO application (id, org_id, uid, name, metadata, created_at, updated_at)
    VALUES ($1, $2, $3, '', '{}', now(), now())
"""
DESTINATION = """
    INSERT INTO destination (id, org_id, app_id, kind, sealed, status, batch_size, max_wait_secs, metadata, position,
                             due_at, lease, lease_until, created_at, updated_at)
    VALUES ('d', $1, 'app_1', 'fifoEndpoint', '', 'enabled', 1, 1, '{}', 0,
            now() + $2::interval, 'l', now(), now(), now())
"""


@pytest.fixture
async def here(database: str) -> AsyncIterator[asyncpg.Connection]:
    async with asking(database) as connection:
        yield connection


async def test_a_mover_that_was_followed_by_another_changes_nothing_any_more(
    database: str, here: asyncpg.Connection
) -> None:
    await here.execute(PLACED, ORG, "here")
    first, second, late = (
        MoversConnection(database, ORG, 1),
        MoversConnection(database, ORG, 2),
        MoversConnection(database, ORG, 1),
    )
    try:
        async with first.transaction() as connection:
            await connection.execute("UPDATE organisation SET residence = 'leaving'")
        async with second.transaction(residences=["leaving"]):
            pass
        for followed in (first, late):  # one that opens its connection only now takes nothing back
            with pytest.raises(MoveTaken):
                async with followed.transaction() as connection:
                    await connection.execute("UPDATE organisation SET residence = 'gone'")
        with pytest.raises(MoveTaken):
            async with second.transaction(residences=["here"]):
                pass
        async with second.transaction():
            pass
    finally:
        for each in (first, second, late):
            each.close()

    assert await here.fetchval(RESIDENCE, ORG) == "leaving"


@pytest.mark.parametrize(("before", "meanwhile", "after"), [(None, "arriving", None), ("gone", "returning", "gone")])
async def test_whoever_is_expected_no_more_leaves_a_row_only_where_it_has_lived(
    database: str, here: asyncpg.Connection, before: str | None, meanwhile: str, after: str | None
) -> None:
    if before is not None:
        await here.execute(PLACED, ORG, before)
    mover = MoversConnection(database, ORG, 1)
    target = PostgresMoveTarget(mover, ORG)
    try:
        await target.expect([])
        expected = await here.fetchval(RESIDENCE, ORG)
        await target.forget()
    finally:
        mover.close()

    assert (expected, await here.fetchval(RESIDENCE, ORG)) == (meanwhile, after)


async def test_names_that_were_swapped_meanwhile_arrive_swapped(database: str, here: asyncpg.Connection) -> None:
    for app_id, uid in (("app_1", "a"), ("app_2", "b")):
        await here.execute(APPLICATION, app_id, ORG, uid)
    rows = await here.fetch("SELECT * FROM application ORDER BY id")
    columns = list(rows[0].keys())
    swapped = [
        tuple((row | {"uid": uid})[name] for name in columns) for row, uid in zip(map(dict, rows), "ba", strict=True)
    ]
    mover = MoversConnection(database, ORG, 1)
    target = PostgresMoveTarget(mover, ORG)
    try:
        await target.expect([])
        await target.take(MovedRows(table="application", columns=columns, rows=swapped, cursor=None))
    finally:
        mover.close()

    assert [row["uid"] for row in await here.fetch("SELECT uid FROM application ORDER BY id")] == ["b", "a"]


@pytest.mark.parametrize(
    ("residence", "read"),
    [(None, True), ("here", True), ("leaving", True), ("stopped", False), ("gone", False), ("arriving", False)],
)
async def test_a_source_is_read_where_its_organisation_lives(
    here: asyncpg.Connection, residence: str | None, *, read: bool
) -> None:
    await here.execute(
        "INSERT INTO source (id, org_id, name, kind, place, sealed, enabled, created_at, updated_at)"
        " VALUES ('src_1', $1, '', 'nats', '{}', '', true, now(), now())",
        ORG,
    )
    if residence is not None:
        await here.execute(PLACED, ORG, residence)

    assert bool(await here.fetch(*ENABLED())) is read


@pytest.mark.parametrize("delay", [None, timedelta(seconds=5)], ids=["well", "a lane fails"])
@pytest.mark.parametrize("aside", [False, True])
async def test_a_destination_that_is_set_aside_is_given_back_and_stays_aside(
    here: asyncpg.Connection, *, aside: bool, delay: timedelta | None
) -> None:
    await here.execute(APPLICATION, "app_1", ORG, None)
    due = SET_ASIDE if aside else SET_ASIDE * 0
    await here.execute(DESTINATION, ORG, due)
    claimed_at = await here.fetchval("SELECT updated_at FROM destination")
    progress = {"id": "d", "lease": "l", "position": 1, "ahead": []}
    stands = {"attempts": 0, "first_failed_at": None, "reason": None, "delay": delay}

    unchanged = await here.fetchval(
        *ADVANCE(**progress, **stands, lease_lasts=SET_ASIDE * 0, claimed_at=claimed_at, aside=SET_ASIDE)
    )
    await here.execute(*RELEASE(**progress, aside=SET_ASIDE))

    assert unchanged is not aside
    assert await here.fetchval("SELECT due_at > now() FROM destination") is aside


async def test_a_stream_that_came_before_its_destination_is_read_once_the_organisation_lives_here(
    database: str, here: asyncpg.Connection
) -> None:
    await here.execute(APPLICATION, "app_1", ORG, None)
    await here.execute("INSERT INTO stream (app_id, head, active) VALUES ('app_1', 1, true)")
    for app_id in [row["app_id"] for row in await here.fetch(*IDLE(most=9))]:  # by a server that lives here
        await here.execute(*REST(apps=[app_id]))
    at_rest = not await here.fetchval("SELECT active FROM stream")
    await here.execute(DESTINATION, ORG, SET_ASIDE)
    mover = MoversConnection(database, ORG, 1)
    target = PostgresMoveTarget(mover, ORG)
    try:
        await target.expect([])
        await target.move_in()
        await target.resume()
    finally:
        mover.close()

    assert at_rest
    assert await here.fetchval("SELECT active FROM stream")


async def test_an_organisation_that_stays_is_owed_what_was_taken_in_while_it_was_about_to_leave(
    database: str, pool: asyncpg.Pool, here: asyncpg.Connection
) -> None:
    await here.execute(PLACED, ORG, "leaving")
    app_id = await add_application(pool)
    endpoint_id = await add_endpoint(pool, app_id)
    mover = MoversConnection(database, ORG, 1)
    source = PostgresMoveSource(mover, ORG)
    try:
        async with asking(database) as intake:
            async with intake.transaction():  # it has seen that the organisation leaves
                await intake.execute(OWED, endpoint_id, ORG, app_id, SET_ASIDE)
                staying = asyncio.create_task(source.stay())
                while not staying.done() and not await here.fetchval(AT_TRANSACTIONS):  # noqa: ASYNC110  # the mover's doing
                    await asyncio.sleep(0.01)
            await staying
    finally:
        mover.close()

    assert await here.fetchval("SELECT due_at <= now() FROM pending_delivery")


async def test_what_is_owed_arrives_set_aside_so_that_nobody_here_sends_it_yet(
    database: str, here: asyncpg.Connection
) -> None:
    owed = {"endpoint_id": "ep_1", "message_id": "msg_1", "resend": "", "org_id": ORG, "app_id": "app_1"}
    task = {"id": "t", "org_id": ORG, "kind": "k", "status": "running", "params": "{}", "cursor": "", "data": "{}"}
    now = await here.fetchval("SELECT now()")
    leased = {"due_at": now, "lease": "another's"}
    rows = {
        "pending_delivery": owed | leased | {"throttled": True, "attempts": 0, "delivered": False, "again": False},
        "background_task": task | leased | {"failures": 0, "created_at": now, "updated_at": now},
    }
    mover = MoversConnection(database, ORG, 1)
    target = PostgresMoveTarget(mover, ORG)
    try:
        await target.expect([])
        for table, row in rows.items():
            columns = [of["attname"] for of in await here.fetch(COLUMNS, table)]
            values = [tuple(row.get(name) for name in columns)]
            await target.take(MovedRows(table=table, columns=columns, rows=values, cursor=None))
    finally:
        mover.close()

    for table in rows:
        (arrived,) = await here.fetch(f"SELECT due_at, lease FROM {table}")
        assert (arrived["due_at"], arrived["lease"]) == (now + SET_ASIDE, None)
    assert await here.fetchval("SELECT throttled FROM pending_delivery") is False
