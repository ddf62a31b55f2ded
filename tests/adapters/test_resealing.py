"""Bringing everything under a new key, while it is used and however often it is tried."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.adapters.machine.vault import AesVault, VaultLocked
from service.adapters.postgres.server import resealing
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.resealing import SEALED, Resealing, reseal
from tests.support.patience import patient

OLD, BOTH, NEW = AesVault(["old"]), AesVault(["new", "old"]), AesVault(["new"])


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(dsn(database))
    yield opened
    await opened.close()


async def test_afterwards_the_new_key_alone_opens_everything(connection: asyncpg.Connection) -> None:
    await _keep(connection, OLD, count=3)

    done = await reseal(connection, BOTH)

    assert done == Resealing(resealed=3 * len(SEALED), unreadable=0)
    assert [NEW.open(value) for value in await _sealed(connection)] == [b"hush"] * (3 * len(SEALED))


async def test_more_than_a_batch_is_done_to_the_end(connection: asyncpg.Connection) -> None:
    await _keep(connection, OLD, count=resealing.BATCH + 1)

    done = await reseal(connection, BOTH)

    assert done.resealed == len(SEALED) * (resealing.BATCH + 1)


async def test_what_is_done_is_not_done_again(connection: asyncpg.Connection) -> None:
    await _keep(connection, OLD, count=2)
    await reseal(connection, BOTH)
    before = await _sealed(connection)

    assert await reseal(connection, BOTH) == Resealing(resealed=0, unreadable=0)
    assert await _sealed(connection) == before


async def test_a_run_that_was_cut_off_is_continued_by_the_next(connection: asyncpg.Connection) -> None:
    await _keep(connection, OLD, count=4)
    first = BOTH.seal(b"hush")
    await connection.execute("UPDATE endpoint SET secrets = $1 WHERE id = '0001'", first)

    done = await reseal(connection, BOTH)

    assert done.resealed == 4 * len(SEALED) - 1
    assert await connection.fetchval("SELECT secrets FROM endpoint WHERE id = '0001'") == first


async def test_a_value_that_somebody_changes_meanwhile_keeps_the_change(
    database: str, connection: asyncpg.Connection
) -> None:
    await _keep(connection, OLD, count=1)
    other = await asyncpg.connect(dsn(database))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE endpoint SET secrets = $1", BOTH.seal(b"rotated"))

    resealed = asyncio.create_task(reseal(connection, BOTH))
    await _until_somebody_waits(other)
    await transaction.commit()
    await other.close()

    assert (await resealed).resealed == len(SEALED) - 1
    assert NEW.open(await connection.fetchval("SELECT secrets FROM endpoint")) == b"rotated"


async def test_what_no_key_opens_is_counted_and_stops_nothing(connection: asyncpg.Connection) -> None:
    await _keep(connection, OLD, count=2)
    lost = AesVault(["lost"]).seal(b"hush")
    await connection.execute("UPDATE endpoint SET secrets = $1 WHERE id = '0000'", lost)

    done = await reseal(connection, BOTH)

    assert done == Resealing(resealed=2 * len(SEALED) - 1, unreadable=1)
    assert await connection.fetchval("SELECT secrets FROM endpoint WHERE id = '0000'") == lost


async def test_every_column_that_is_sealed_is_resealed(connection: asyncpg.Connection) -> None:
    binary = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'bytea' AND table_name NOT LIKE 'message%'"
    )
    digests = {
        ("idempotency_key", "scope"),
        ("idempotency_key", "fingerprint"),
        ("console_session", "digest"),
    }

    assert {tuple(row) for row in binary} - digests == {(each.table, each.column) for each in SEALED}


def test_an_old_key_that_is_given_up_too_early_is_noticed() -> None:
    with pytest.raises(VaultLocked):
        NEW.open(OLD.seal(b"hush"))


async def _keep(connection: asyncpg.Connection, vault: AesVault, *, count: int) -> None:
    await connection.execute("ALTER TABLE endpoint DROP CONSTRAINT endpoint_app_id_fkey")
    await connection.executemany(
        "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets, headers,"
        " created_at, updated_at) VALUES ($1, 'org', 'app', 'http://a', '', 1, false, '{}', $2, $3, now(), now())",
        [(f"{number:04}", vault.seal(b"hush"), vault.seal(b"hush")) for number in range(count)],
    )
    await connection.execute("ALTER TABLE destination DROP CONSTRAINT destination_app_id_fkey")
    await connection.executemany(
        "INSERT INTO destination (id, org_id, app_id, kind, sealed, secrets, status, batch_size, max_wait_secs,"
        " metadata, position, due_at, created_at, updated_at)"
        " VALUES ($1, 'org', 'app', 'nats', $2, $3, 'enabled', 1, 0, '{}', 0, now(), now(), now())",
        [(f"{number:04}", vault.seal(b"hush"), vault.seal(b"hush")) for number in range(count)],
    )
    await connection.executemany(
        "INSERT INTO source (id, org_id, name, kind, place, sealed, enabled, created_at, updated_at)"
        " VALUES ($1, 'org', 'a', 'nats', '{}', $2, true, now(), now())",
        [(f"{number:04}", vault.seal(b"hush")) for number in range(count)],
    )
    await connection.executemany(
        "INSERT INTO idempotency_key (scope, fingerprint, status, body) VALUES ($1, '', 200, $2)",
        [(number.to_bytes(2, "big"), vault.seal(b"hush")) for number in range(count)],
    )


async def _sealed(connection: asyncpg.Connection) -> list[bytes]:
    found: list[bytes] = []
    for each in SEALED:
        rows = await connection.fetch(f"SELECT {each.column} FROM {each.table} ORDER BY {each.key}")
        found += [row[0] for row in rows]
    return found


async def _until_somebody_waits(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(patient(10)):
        while not await connection.fetchval("SELECT exists(SELECT FROM pg_locks WHERE NOT granted)"):
            await connection.execute("SELECT pg_sleep(0.01)")
