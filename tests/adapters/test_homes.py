"""Homes in PostgreSQL: placed once, told of when they change, and each organisation's own row as the last word."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.repositories.homes import PostgresHomes, hearing_of_moves, move_in
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from service.adapters.postgres.server.residence import Residence
from service.domain.errors import LivesElsewhere
from service.domain.ids import OrgId
from service.domain.messages import Accepted, NotResident, UnknownApplication
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import ORG, VAULT, add_application, new_message
from tests.support.patience import patient


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    async with open_database(database) as opened:
        yield opened


@pytest.fixture
def homes(pool: asyncpg.Pool) -> PostgresHomes:
    return PostgresHomes(lambda: pool)


async def test_an_organisation_is_placed_once_whoever_is_first(homes: PostgresHomes) -> None:
    before = await homes.of(ORG)

    placed = await asyncio.gather(*(homes.place(ORG, name) for name in ("eu-1", "eu-2", "eu-3")))

    assert before is None
    assert len(set(placed)) == 1
    assert await homes.of(ORG) == placed[0]
    assert await homes.counts() == {placed[0]: 1}
    assert [(home.org_id, home.database) for home in await homes.listed()] == [(ORG, placed[0])]


async def test_whoever_has_something_here_is_known(homes: PostgresHomes, pool: asyncpg.Pool) -> None:
    await add_application(pool)

    assert (await homes.has_something(ORG), await homes.has_something(OrgId("org_other"))) == (True, False)


async def test_who_has_moved_out_does_not_move_in_again(pool: asyncpg.Pool) -> None:
    first, again = await move_in(pool, ORG), await move_in(pool, ORG)
    await pool.execute("UPDATE organisation SET residence = 'gone'")

    assert (first, again, await move_in(pool, ORG)) == (True, True, False)


async def test_changes_are_heard_and_those_that_were_missed_are_found(database: str, pool: asyncpg.Pool) -> None:
    moved: asyncio.Queue[OrgId] = asyncio.Queue()
    await pool.execute("INSERT INTO organisation_home VALUES ('org_a', 'eu-2'), ('org_b', 'eu-2'), ('org_c', 'eu-1')")
    known = {OrgId("org_a"): "eu-1", OrgId("org_b"): "eu-2", OrgId("org_never_seen"): "eu-2"}

    async with asyncio.timeout(patient(10)), hearing_of_moves(database, moved=moved.put_nowait, known=lambda: known):
        missed = {await moved.get(), await moved.get()}
        await pool.execute("UPDATE organisation_home SET database = 'eu-1' WHERE org_id = 'org_b'")
        heard = await moved.get()

    assert missed == {"org_a", "org_never_seen"}
    assert heard == "org_b"


async def test_a_transaction_of_who_lives_elsewhere_does_nothing(opened: Database) -> None:
    moved: list[OrgId] = []
    residence = Residence(org_id=ORG, moved=moved.append)

    async def look() -> None:
        async with open_unit_of_work(opened.sessions, VAULT, residence=residence) as work:
            await work.applications.get(ORG, "u")

    with pytest.raises(LivesElsewhere):
        await look()
    await move_in(opened.pool, ORG)
    await look()

    assert moved == [ORG]


async def test_a_long_reading_is_refused_once_its_organisation_has_moved(opened: Database) -> None:
    await move_in(opened.pool, ORG)
    async with opened.sessions() as session:
        work = PostgresUnitOfWork(session, VAULT, residence=Residence(org_id=ORG, moved=lambda _org_id: None))
        await work.applications.get(ORG, "u")
        await work.commit()
        await opened.pool.execute("UPDATE organisation SET residence = 'gone'")

        with pytest.raises(LivesElsewhere):
            await work.applications.get(ORG, "u")
        await work.rollback()


async def test_a_message_of_who_lives_elsewhere_is_not_accepted_and_holds_up_nobody(
    pool: asyncpg.Pool, told: DeliveryTelemetry
) -> None:
    moved: list[OrgId] = []
    stranger = OrgId("org_stranger")
    app = await add_application(pool)
    await pool.execute(
        "INSERT INTO application (id, org_id, uid, name, metadata, created_at, updated_at)"
        " SELECT id || 'x', $1, uid, name, metadata, created_at, updated_at FROM application",
        stranger,
    )
    await move_in(pool, ORG)
    intake = PostgresIntake(pool, accepted=lambda: None, telemetry=told, moved=moved.append)

    async with intake.running():
        receptions = await asyncio.gather(
            intake.accept(new_message(app)),
            intake.accept(new_message(f"{app}x", org_id=stranger)),
            intake.accept(new_message("nothing")),
        )

    assert list(receptions) == [Accepted(app_id=app, deliveries=0), NotResident(), UnknownApplication()]
    assert moved == [stranger]
    assert await pool.fetchval("SELECT count(*) FROM message") == 1
