"""Accepting through a real PostgreSQL: what is claimed, kept and owed in one statement."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.server.group_commit import ENOUGH_FOR_ANOTHER
from service.domain.ids import MessageId
from service.domain.messages import Accepted, EventIdTaken, KeyTaken, Repeated, UnknownApplication
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import add_application, add_endpoint, idempotency_key, new_message
from tests.support.patience import patient

WAITS_FOR_A_LOCK = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def intake(pool: asyncpg.Pool, told: DeliveryTelemetry) -> AsyncIterator[PostgresIntake]:
    intake = PostgresIntake(pool, accepted=lambda: None, telemetry=told)
    async with intake.running():
        yield intake


async def test_an_accepted_message_owes_a_delivery_to_every_endpoint_that_wants_it(
    pool: asyncpg.Pool, intake: PostgresIntake
) -> None:
    app = await add_application(pool)
    everything = await add_endpoint(pool, app)
    wanted = await add_endpoint(pool, app, event_types=["invoice.paid"])
    channelled = await add_endpoint(pool, app, channels=["emea"])
    await add_endpoint(pool, app, event_types=["user.created"])
    await add_endpoint(pool, app, channels=["apac"])
    await add_endpoint(pool, app, disabled=True)
    message = new_message(app, channels=("emea", "us"))

    reception = await intake.accept(message)

    assert reception == Accepted(app_id=app, deliveries=3)
    owed = await pool.fetch("SELECT endpoint_id FROM pending_delivery WHERE message_id = $1", message.id)
    assert {row["endpoint_id"] for row in owed} == {everything, wanted, channelled}


async def test_a_message_without_channels_does_not_reach_an_endpoint_with_channels(
    pool: asyncpg.Pool, intake: PostgresIntake
) -> None:
    app = await add_application(pool)
    await add_endpoint(pool, app, channels=["emea"])

    reception = await intake.accept(new_message(app))

    assert reception == Accepted(app_id=app, deliveries=0)


async def test_concurrent_messages_share_commits(pool: asyncpg.Pool, intake: PostgresIntake) -> None:
    app = await add_application(pool, uid="customer-1")

    receptions = await asyncio.gather(*(intake.accept(new_message("customer-1")) for _ in range(100)))

    assert receptions == [Accepted(app_id=app, deliveries=0, app_uid="customer-1")] * 100
    assert await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM message") < 10


async def test_a_message_that_waits_for_a_lock_does_not_hold_up_enough_others(
    pool: asyncpg.Pool, intake: PostgresIntake
) -> None:
    app = await add_application(pool)
    key = idempotency_key("k")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO idempotency_key (scope, fingerprint, message_id) VALUES ($1, $2, 'msg_1')",
            key.scope,
            key.fingerprint,
        )
        waiting = asyncio.create_task(intake.accept(new_message(app, idempotency_key=key)))
        async with asyncio.timeout(patient(10)):
            while not await pool.fetchval(WAITS_FOR_A_LOCK):  # noqa: ASYNC110  # another connection's doing
                await asyncio.sleep(0.01)
        async with asyncio.timeout(patient(10)):
            others = await asyncio.gather(*(intake.accept(new_message(app)) for _ in range(2 * ENOUGH_FOR_ANOTHER)))
        was_waiting = not waiting.done()

    assert was_waiting
    assert others == [Accepted(app_id=app, deliveries=0)] * 2 * ENOUGH_FOR_ANOTHER
    assert await waiting == Repeated(id=MessageId("msg_1"))


async def test_the_payload_is_kept_byte_for_byte(pool: asyncpg.Pool, intake: PostgresIntake) -> None:
    app = await add_application(pool)
    message = new_message(app, payload='{ "é" :\t1.0e+2 ,"\\u0000": "\U0001f600" }'.encode())

    await intake.accept(message)

    assert await pool.fetchval("SELECT payload FROM message WHERE id = $1", message.id) == message.payload


async def test_a_stranger_s_application_is_unknown(pool: asyncpg.Pool, intake: PostgresIntake) -> None:
    app = await add_application(pool)

    reception = await intake.accept(new_message(app, org_id="org_000000000000000000000000002"))

    assert reception == UnknownApplication()


async def test_a_repeated_key_with_the_same_body_is_the_first_message(
    pool: asyncpg.Pool, intake: PostgresIntake
) -> None:
    app = await add_application(pool)
    first, second, third = (new_message(app, idempotency_key=idempotency_key("k")) for _ in range(3))

    receptions = await asyncio.gather(*(intake.accept(message) for message in (first, second)))
    later = await intake.accept(third)

    assert sorted(type(reception).__name__ for reception in receptions) == ["Accepted", "Repeated"]
    assert Repeated(id=await pool.fetchval("SELECT id FROM message")) == later
    assert later in receptions


async def test_a_repeated_key_with_another_body_is_refused(pool: asyncpg.Pool, intake: PostgresIntake) -> None:
    app = await add_application(pool)
    await intake.accept(new_message(app, idempotency_key=idempotency_key("k", body=b"1")))

    reception = await intake.accept(new_message(app, idempotency_key=idempotency_key("k", body=b"2")))

    assert reception == KeyTaken()
    assert await pool.fetchval("SELECT count(*) FROM message") == 1


async def test_an_event_id_belongs_to_one_message(pool: asyncpg.Pool, intake: PostgresIntake) -> None:
    app = await add_application(pool)

    receptions = await asyncio.gather(
        *(intake.accept(new_message(app, event_id="e-1", idempotency_key=idempotency_key(str(n)))) for n in range(3))
    )

    assert receptions.count(EventIdTaken()) == 2
    assert await pool.fetchval("SELECT count(*) FROM message") == 1


async def test_a_message_that_was_refused_leaves_nothing_behind(pool: asyncpg.Pool, intake: PostgresIntake) -> None:
    app = await add_application(pool)
    await intake.accept(new_message(app, event_id="e-1"))
    await intake.accept(new_message(app, idempotency_key=idempotency_key("k", body=b"1")))

    await intake.accept(new_message(app, event_id="e-1", idempotency_key=idempotency_key("k-2")))
    await intake.accept(new_message(app, event_id="e-2", idempotency_key=idempotency_key("k", body=b"2")))

    assert isinstance(await intake.accept(new_message(app, event_id="e-2")), Accepted)
    assert isinstance(await intake.accept(new_message(app, idempotency_key=idempotency_key("k-2"))), Accepted)


async def test_the_same_key_from_two_processes_is_one_message(pool: asyncpg.Pool, told: DeliveryTelemetry) -> None:
    app = await add_application(pool)
    intakes = [PostgresIntake(pool, accepted=lambda: None, telemetry=told) for _ in range(2)]

    async with intakes[0].running(), intakes[1].running():
        receptions = await asyncio.gather(
            *(
                intakes[n % 2].accept(new_message(app, event_id=f"e-{k}", idempotency_key=idempotency_key(f"{k}")))
                for k in range(50)
                for n in range(4)
            )
        )

    assert await pool.fetchval("SELECT count(*) FROM message") == 50
    assert sum(isinstance(reception, Accepted) for reception in receptions) == 50
    assert sum(isinstance(reception, Repeated) for reception in receptions) == 150


async def test_in_a_batch_with_one_bad_row_only_its_own_caller_fails(
    pool: asyncpg.Pool, intake: PostgresIntake
) -> None:
    app = await add_application(pool)
    await pool.execute("ALTER TABLE message ADD CONSTRAINT refused CHECK (event_type <> 'bad')")
    messages = [new_message(app, event_type="bad" if n == 7 else "good") for n in range(20)]

    receptions = await asyncio.gather(*(intake.accept(message) for message in messages), return_exceptions=True)

    assert isinstance(receptions.pop(7), asyncpg.CheckViolationError)
    assert receptions == [Accepted(app_id=app, deliveries=0)] * 19


async def test_a_commit_that_postgresql_refuses_is_not_an_acceptance(
    pool: asyncpg.Pool, intake: PostgresIntake
) -> None:
    app = await add_application(pool)
    await pool.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    with pytest.raises(asyncpg.RaiseError):
        await intake.accept(new_message(app))

    assert await pool.fetchval("SELECT count(*) FROM message") == 0
