"""What a server clears away by itself, with nothing set: how long things are kept is wired where they are kept."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server import partitions
from service.domain import ids
from tests.support.factories import ORG
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import RelevoProcess, running, settings

WITHIN = 60.0
QUIET = {"OTEL_SDK_DISABLED": "true", "RELEVO_LOG_LEVEL": "error"}
MESSAGE = (
    "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
    " VALUES ($1, $2, 'app', 't', '{}', now() + interval '1 day', '')"
)
KEY = "INSERT INTO idempotency_key (scope, fingerprint, created_at) VALUES ($1, '', now() - $2::interval)"

pytestmark = pytest.mark.timeout(120)


async def test_messages_are_kept_for_97_days_and_keys_for_twelve_hours(database: str, directory: Path) -> None:
    now = datetime.now(UTC)
    connection = await asyncpg.connect(asyncpg_dsn(database))
    try:
        for days in (96, 105):  # weeks are dropped whole
            await partitions.ensure(connection, now=now - timedelta(days=days))
            at = now - timedelta(days=days)
            await connection.execute(MESSAGE, new_id(ids.MESSAGE, at=at), ORG)
        for name, hours in ((b"younger", 11), (b"older", 13)):
            await connection.execute(KEY, name, timedelta(hours=hours))

        site = settings(RELEVO_DATABASE_URL=database, **QUIET)
        async with running(RelevoProcess("serve", site, directory / "log")), asyncio.timeout(WITHIN):
            while await connection.fetchval("SELECT count(*) FROM message") > 1:  # noqa: ASYNC110  # the server's doing
                await asyncio.sleep(0.05)
            while await connection.fetchval("SELECT count(*) FROM idempotency_key") > 1:  # noqa: ASYNC110  # same
                await asyncio.sleep(0.05)

        assert (
            ids.time_of(await connection.fetchval("SELECT id FROM message")).date() == (now - timedelta(days=96)).date()
        )
        assert await connection.fetchval("SELECT scope FROM idempotency_key") == b"younger"
    finally:
        await connection.close()
