"""What is kept for a time is forgotten after it, and not before: a row on either side of each time."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from service.adapters.machine.clock import new_id
from service.adapters.postgres import upkeep
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.upkeep import PostgresUpkeep
from service.domain import ids
from tests.support.factories import ORG, add_application

WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND pid <> pg_backend_pid()"
)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
WEEKS = 15 * DAY  # more than messages are kept for here, whole weeks and all


class Kept(NamedTuple):
    """Writes a row of the age $1 that is called $2; an age that is over, and one that is not."""

    insert: str
    over: timedelta
    young: timedelta
    prefix: str = ""


TASK = (
    "INSERT INTO background_task (id, org_id, kind, status, params, cursor, data, failures, due_at, created_at,"
    " updated_at) SELECT $2, 'org', 'k', '{}', '{{}}', '', '{{}}', 0, 'infinity', now(), now() - $1::interval"
)
KEPT: Mapping[str, Kept] = {
    "idempotency_key": Kept(
        "INSERT INTO idempotency_key (scope, fingerprint, created_at)"
        " VALUES ($2::text::bytea, '', now() - $1::interval)",
        over=12 * HOUR + MINUTE,
        young=12 * HOUR - MINUTE,
    ),
    "event_id": Kept(
        "INSERT INTO event_id (message_id, app_id, event_id) SELECT $2, 'app', ($1::interval)::text",
        over=WEEKS,
        young=6 * DAY,
        prefix=ids.MESSAGE,
    ),
    "stream_message": Kept(
        "INSERT INTO stream_message (app_id, position, message_id, event_type, created_at)"
        " VALUES ('app', extract(epoch FROM $1::interval), $2, 't', now() - $1::interval)",
        over=7 * DAY + MINUTE,
        young=7 * DAY - MINUTE,
    ),
    "endpoint_rest": Kept(
        "INSERT INTO endpoint_rest (endpoint_id, rests, until) VALUES ($2, 1, now() - $1::interval)",
        over=HOUR + MINUTE,
        young=HOUR - MINUTE,
    ),
    "throttle": Kept(
        "INSERT INTO throttle (id, next_at) VALUES ($2, now() - $1::interval)", over=HOUR + MINUTE, young=HOUR - MINUTE
    ),
    "endpoint_hour": Kept(
        "INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)"
        " VALUES ($2, now() - $1::interval, 0, 'org', 'app', 1, 0, 0)",
        over=7 * DAY + MINUTE,
        young=7 * DAY - MINUTE,
    ),
    "activity_hour": Kept(
        "INSERT INTO activity_hour (owner, hour, part, org_id, accepted, success, fail, exhausted, canceled)"
        " VALUES ($2, now() - $1::interval, 0, 'org', 1, 0, 0, 0, 0)",
        over=7 * DAY + MINUTE,
        young=7 * DAY - MINUTE,
    ),
    "console_session": Kept(
        "INSERT INTO console_session (digest, org_id, role, capabilities, created_at, expires_at)"
        " VALUES ($2::text::bytea, 'org', 'admin', '{}', now(), now() - $1::interval)",
        over=MINUTE,
        young=-MINUTE,
    ),
    "message_import": Kept(
        "WITH owner AS (INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
        " VALUES ('app' || $2, 'org', '', '{}', now(), now()) RETURNING id)"
        " INSERT INTO message_import (id, org_id, app_id, file_id, sending, status, lines, accepted, repeated, refused,"
        " created_at, updated_at)"
        " SELECT $2, 'org', id, 'f', '', 'finished', 0, 0, 0, 0, now(), now() - $1::interval FROM owner",
        over=7 * DAY + MINUTE,
        young=7 * DAY - MINUTE,
    ),
    "background_task": Kept(TASK.format("finished"), over=7 * DAY + MINUTE, young=7 * DAY - MINUTE, prefix=ids.TASK),
}
NAMED = {
    "idempotency_key": "scope",
    "event_id": "message_id",
    "stream_message": "message_id",
    "activity_hour": "owner",
    "console_session": "digest",
    "endpoint_rest": "endpoint_id",
    "endpoint_hour": "endpoint_id",
}
ELSEWHERE = {
    "forget_refused_lines": "tests/api/test_imports.py",
    "remove_payloads": "tests/adapters/test_payload_expiry.py",
    "shorten_audit": "tests/adapters/test_audit.py",
}


def test_whatever_is_forgotten_has_its_row() -> None:
    here = {
        name for name, said in upkeep.CLEARING.items() if any(f"DELETE FROM {table} " in said.text for table in KEPT)
    }

    assert here | ELSEWHERE.keys() == upkeep.CLEARING.keys()


@pytest.mark.parametrize("table", KEPT)
async def test_what_is_over_is_forgotten_and_what_is_not_stays(pool: asyncpg.Pool, table: str) -> None:
    kept, now = KEPT[table], datetime.now(UTC)
    over, young = (new_id(kept.prefix, at=now - age) if kept.prefix else str(age) for age in (kept.over, kept.young))
    await pool.execute(kept.insert, kept.over, over)
    await pool.execute(kept.insert, kept.young, young)

    await PostgresUpkeep(pool, kept=7 * DAY).clear_away(now=now)

    assert await _left(pool, table) == [young]


@pytest.mark.parametrize(("table", "at"), [("idempotency_key", "created_at"), ("message_import", "updated_at")])
async def test_what_is_taken_anew_while_it_is_forgotten_stays(pool: asyncpg.Pool, table: str, at: str) -> None:
    kept, now = KEPT[table], datetime.now(UTC)
    name = new_id(kept.prefix, at=now - kept.over) if kept.prefix else "old"
    await pool.execute(kept.insert, kept.over, name)
    async with pool.acquire() as caller, caller.transaction():
        await caller.execute(f"UPDATE {table} SET {at} = now()")
        clearing = asyncio.create_task(PostgresUpkeep(pool, kept=7 * DAY).clear_away(now=now))
        while not clearing.done() and not await pool.fetchval(WAITS):  # noqa: ASYNC110  # the server's doing
            await asyncio.sleep(0.01)
    await clearing

    assert await _left(pool, table) == [name]


async def test_a_task_that_runs_is_not_forgotten_however_old_it_is(pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    old = new_id(ids.TASK, at=now - WEEKS)
    await pool.execute(TASK.format("running"), WEEKS, old)

    await PostgresUpkeep(pool, kept=7 * DAY).clear_away(now=now)

    assert await _left(pool, "background_task") == [old]


async def test_a_revocation_is_forgotten_when_no_token_that_it_ends_can_hold(pool: asyncpg.Pool) -> None:
    now, app = datetime.now(UTC), await add_application(pool)
    for name, forgettable_at in {"over": now - MINUTE, "young": now + MINUTE}.items():
        await pool.execute(
            "INSERT INTO revocation (id, org_id, app_id, issued_before, effective_at, forgettable_at)"
            " VALUES ($1, $2, $3, $4, $4, $5)",
            *(name, ORG, app, now - DAY, forgettable_at),
        )

    await RememberedRevocations(pool).refresh(now=now)

    assert await _left(pool, "revocation") == ["young"]


async def _left(pool: asyncpg.Pool, table: str) -> list[Any]:
    names = [row["name"] for row in await pool.fetch(f"SELECT {NAMED.get(table, 'id')} AS name FROM {table}")]
    return [name.decode() if isinstance(name, bytes) else name for name in names]
