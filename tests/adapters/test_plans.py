"""The plans of the hot statements over full tables: each reads by an index, however much is kept."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.adapters.postgres.queue import ordered
from service.adapters.postgres.queue.claims import CLAIM, CLAIM_BY_TURNS, CLAIM_THROTTLED, shares
from service.adapters.postgres.queue.intake import ACCEPT, ACCEPT_RESIDENTS
from service.adapters.postgres.queue.settlements import SETTLE
from service.adapters.postgres.queue.streams import POSITION_AT, reading
from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import dsn, open_database
from service.adapters.postgres.server.statements import Statement
from service.application.ports.ordered import Extent
from service.domain import ids
from service.domain.idempotency import KEYS_KEPT
from service.domain.ids import ApplicationId, EndpointId
from service.domain.limits import DEFAULT_PAGE_ITEMS, RATE_BURST
from service.domain.moves import SET_ASIDE

A_LOT = 20_000

FILL = (
    "INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
    " SELECT 'app_' || n, 'org', '', '{}', now(), now() FROM generate_series(1, 2000) n",
    "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets, headers,"
    " created_at, updated_at)"
    " SELECT 'ep_' || n, 'org', 'app_' || n, '', '', 1, false, '{}', '', '', now(), now()"
    " FROM generate_series(1, 2000) n",
    "INSERT INTO throttle SELECT 'ep_' || n, now() FROM generate_series(1, 2000) n",
    "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
    f" SELECT 'msg_' || n, 'org', 'app_' || n % 2000, 't', '{{}}', now(), '' FROM generate_series(1, {A_LOT}) n",
    "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)"
    " SELECT 'ep_' || n % 2000, 'msg_' || n, 'org', 'app_1', now() + n * interval '1 s'"
    f" FROM generate_series(1, {A_LOT}) n",
    "INSERT INTO settled_delivery (message_id, endpoint_id, org_id, app_id, status, attempts)"
    f" SELECT 'msg_' || n, 'ep_' || n % 2000, 'org', 'app_1', 0, 1 FROM generate_series(1, {A_LOT}) n",
    "INSERT INTO event_type"
    " (org_id, name, description, archived, deprecated, validate_payloads, created_at, updated_at)"
    " SELECT 'org', 't' || n, '', false, false, n % 2 = 0, now(), now() FROM generate_series(1, 2000) n",
    f"INSERT INTO event_id SELECT 'app_1', n::text, 'msg_' || n FROM generate_series(1, {A_LOT}) n",
    f"INSERT INTO idempotency_key SELECT n::text::bytea, '', 'msg_' || n FROM generate_series(1, {A_LOT}) n",
    "INSERT INTO endpoint_rest SELECT 'ep_' || n, 1, now() FROM generate_series(1, 2000) n",
    "INSERT INTO stream SELECT 'app_' || n, 10, n % 10 = 0 FROM generate_series(1, 2000) n",
    "INSERT INTO stream_message SELECT 'app_' || n % 2000, n / 2000 + 1, 'msg_' || n, 't', NULL, now()"
    f" FROM generate_series(1, {A_LOT}) n",
    "INSERT INTO destination (id, org_id, app_id, kind, sealed, status, batch_size, max_wait_secs, metadata, position,"
    " due_at, created_at, updated_at)"
    " SELECT 'dest_' || n, 'org', 'app_' || n, 'nats', '', 'enabled', 1, 0, '{}', n % 10, now(), now(), now()"
    " FROM generate_series(1, 2000) n",
    "INSERT INTO organisation SELECT 'org_' || n FROM generate_series(1, 2000) n",
    "ANALYZE",
)
# A few thousand messages are read from end to end faster than a page of them is looked up one by one.
ONE_LONG_STREAM = (
    "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
    " SELECT 'msg_more_' || n, 'org', 'app_2', 't', '{}', now(), '' FROM generate_series(1, 150000) n",
    "INSERT INTO stream_message (app_id, position, message_id, event_type, created_at)"
    f" SELECT 'app_1', n, 'msg_' || n, 't', now() + n * interval '1 s' FROM generate_series(11, {A_LOT}) n",
    f"UPDATE stream SET head = {A_LOT} WHERE app_id = 'app_1'",
    "ANALYZE",
)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn(database))
    for statement in FILL:
        await connection.execute(statement)
    yield connection
    await connection.close()


async def scanned(connection: asyncpg.Connection, statement: object, *arguments: object) -> set[str]:
    """The tables that the plan reads from end to end."""
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments))
    return {node["Relation Name"] for node in _nodes(plan[0]["Plan"]) if node["Node Type"] == "Seq Scan"}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


async def test_claiming_reads_by_index(connection: asyncpg.Connection) -> None:
    rooms = {EndpointId("ep_1"): 0, EndpointId("ep_2"): 3}
    asked = {"lease": "lease", "lease_lasts": timedelta(seconds=30), "most": 100, **shares(16, rooms)}

    assert await scanned(connection, *CLAIM(**asked, window=1000)) == set()
    assert await scanned(connection, *CLAIM_BY_TURNS(**asked, cursor="")) == set()
    assert await scanned(connection, *CLAIM_THROTTLED(**asked, cursor="", burst=RATE_BURST)) == set()


async def test_an_empty_queue_is_read_by_index_too_where_it_is_worked_on(database: str) -> None:
    """A plan is kept: of a queue that was empty when it was made, it would read every row of a full one."""
    rests = {"first_rest": 0.25, "longest_rest": 30.0, "rest_spread": 0.25, "most_rests": 9}
    settle = SETTLE(rows="[{}]", size=1, **rests, disable_after=timedelta(days=5))
    claim = {"lease": "lease", "lease_lasts": timedelta(seconds=30), "most": 100, **shares(16, {})}

    async with (
        open_database(database) as opened,
        opened.pool.acquire() as connection,
        opened.claims.acquire() as of_claims,
    ):
        await connection.execute("ANALYZE")
        settling = await scanned(connection, *settle)
        claiming = await scanned(of_claims, *CLAIM(**claim, window=1000))

    assert "pending_delivery" not in settling | claiming


async def test_the_plan_for_any_number_of_rows_joins_by_key(database: str) -> None:
    """It is made once and kept. One for more rows than usual would read the queue's whole index at each settlement."""
    async with open_database(database) as opened, opened.pool.acquire() as connection:
        await connection.execute(f"PREPARE settle AS {SETTLE.text}")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        nulls = ", ".join("NULL" for _ in SETTLE.parameters)
        plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE settle({nulls})"))

    reads = [node for node in _nodes(plan[0]["Plan"]) if node.get("Relation Name") == "pending_delivery"]
    reads = [node for node in reads if "Scan" in node["Node Type"]]
    assert reads
    assert [node for node in reads if "Index Cond" not in node] == []


async def test_settling_reads_by_index(connection: asyncpg.Connection) -> None:
    rests = {"first_rest": 0.25, "longest_rest": 30.0, "rest_spread": 0.25, "most_rests": 9}

    assert await scanned(connection, *SETTLE(rows="[{}]", size=1, **rests, disable_after=timedelta(days=5))) == set()


@pytest.mark.parametrize("accept", [ACCEPT, ACCEPT_RESIDENTS], ids=["of one database", "of several"])
async def test_accepting_reads_by_index(connection: asyncpg.Connection, accept: Statement) -> None:
    leased = {
        "lease": "lease",
        "lease_lasts": timedelta(seconds=30),
        "most": 100,
        **shares(16, {EndpointId("ep_1"): 3}),
    }

    assert (
        await scanned(connection, *accept(rows="[{}]", size=1, payloads=[None], **leased, keys_kept=KEYS_KEPT)) == set()
    )


@pytest.mark.parametrize("event_types", [None, ("t",), ("never",)])
async def test_polling_reads_by_index(connection: asyncpg.Connection, event_types: tuple[str, ...] | None) -> None:
    extent = Extent(messages=DEFAULT_PAGE_ITEMS, event_types=event_types)
    for statement in ONE_LONG_STREAM:
        await connection.execute(statement)

    assert await scanned(connection, *reading(ApplicationId("app_1"), extent, after=A_LOT // 2)) == set()
    assert await scanned(connection, *POSITION_AT(app="app_1", at=datetime.now(UTC))) == set()


async def test_who_is_behind_a_stream_is_found_by_index(connection: asyncpg.Connection) -> None:
    await connection.execute("SET enable_seqscan = off")  # as hot connections have it
    kinds = ["fifoEndpoint", "nats"]
    of_one = {"id": "dest_1", "lease": "lease", "position": 1, "ahead": []}
    behind = {"attempts": 1, "first_failed_at": None, "reason": None, "delay": timedelta(), "claimed_at": None}
    statements = {
        "claim": ordered.CLAIM(kinds=kinds, most=64, lease="lease", lease_lasts=timedelta(seconds=30)),
        "next due": ordered.NEXT_DUE(kinds=kinds),
        "advance": ordered.ADVANCE(**of_one, **behind, lease_lasts=timedelta(seconds=30), aside=SET_ASIDE),
        "fail": ordered.FAIL(**of_one, **behind, disabled=False),
        "release": ordered.RELEASE(**of_one, aside=SET_ASIDE),
        "idle": ordered.IDLE(most=1000),
        "rest": ordered.REST(apps=["app_1"]),
        "lag": ordered.LAG(),
    }

    assert {name: await scanned(connection, *statement) for name, statement in statements.items()} == {
        name: set() for name in statements
    }


async def test_weeks_are_made_ahead_and_dropped_whole(connection: asyncpg.Connection) -> None:
    now = datetime(2026, 7, 15, tzinfo=UTC)
    later = now + timedelta(weeks=2)

    await partitions.ensure(connection, now=now)
    await partitions.ensure(connection, now=later)
    dropped = await partitions.drop_older(connection, before=later)

    assert dropped == [f"{table}_{week}" for table in partitions.PARTITIONED for week in ("20260713", "20260720")]
    await connection.execute(
        "INSERT INTO message (id, org_id, app_id, event_type, expires_at, correlation_id)"
        " VALUES ($1, 'org', 'app_1', 't', now(), '')",
        ids.highest(ids.MESSAGE, later),
    )
    assert await connection.fetchval("SELECT count(*) FROM message_20260727") == 1


async def test_a_row_from_a_clock_that_ran_ahead_keeps_no_other_week_from_being_made(
    connection: asyncpg.Connection,
) -> None:
    now = datetime(2026, 7, 15, tzinfo=UTC)
    await connection.execute(
        "INSERT INTO message (id, org_id, app_id, event_type, expires_at, correlation_id)"
        " VALUES ($1, 'org', 'app_1', 't', now(), '')",
        ids.highest(ids.MESSAGE, now + timedelta(weeks=1)),
    )

    await partitions.ensure(connection, now=now)

    made = {row["relname"] for row in await connection.fetch(partitions.PARTITIONS, "message")}
    assert made == {"message_default", "message_20260713", "message_20260727"}
