"""How endpoints stand after a settlement: the tables of the domain go through the statement, all cases in one batch."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from service.adapters.postgres.queue.settlements import settling
from service.domain.deliveries import Settlement, Status, Trigger
from service.domain.health import DISABLE_AFTER, Tried
from service.domain.ids import ApplicationId, EndpointId
from service.domain.retries import Delivered, Gone, TryAgain, Verdict
from tests.support.endpoint_health import CASES, HOUR, RESTS
from tests.support.factories import a_claim, add_application, add_endpoint
from tests.support.queues import came_of, owe

LATER = TryAgain(delay=HOUR)
HELD = "UPDATE pending_delivery SET lease = 'a-lease'"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND pid <> pg_backend_pid()"
)
STANDS = (
    "UPDATE endpoint SET first_failure_at = now() - $2::interval, disabled = $3, disabled_reason = $4 WHERE id = $1"
)
STANDING = "SELECT id, now() - first_failure_at AS since, disabled, disabled_reason FROM endpoint"
RESTS_UNTIL = "INSERT INTO endpoint_rest (endpoint_id, rests, until) VALUES ($1, $2, now() + $3)"
RESTING = "SELECT endpoint_id, rests, until - now() AS left FROM endpoint_rest"


@pytest.fixture
async def connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """In one transaction, where it is always the same time."""
    async with pool.acquire() as connection, connection.transaction():
        yield connection


def what_came(tried: Tried) -> list[tuple[Verdict, dict[str, Any]]]:
    """Attempts of which that is to be said."""
    if tried == Tried():
        return [(LATER, {"trigger": Trigger.MANUAL}), (LATER, {"error_type": "internal"})]
    kinds: list[tuple[bool, Verdict, dict[str, Any]]] = [
        (tried.succeeded, Delivered(), {"status": Status.SUCCESS}),
        (tried.failed, LATER, {}),
        (tried.gone, Gone(), {"trigger": Trigger.MANUAL}),
    ]
    return [(verdict, said) for happened, verdict, said in kinds if happened]


async def settlements(pool: asyncpg.Pool, endpoint: EndpointId, app: ApplicationId, tried: Tried) -> list[Settlement]:
    """Of attempts at messages that are owed to the endpoint."""
    came = what_came(tried)
    messages = await owe(pool, endpoint, app, len(came))
    claims = [a_claim(message_id=message, endpoint_id=endpoint, app_id=app) for message in messages]
    return [came_of(claim, verdict, **said) for claim, (verdict, said) in zip(claims, came, strict=True)]


async def test_endpoints_stand_after_a_settlement_as_the_domain_says(
    pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    app, endpoints = await add_application(pool), {name: EndpointId("") for name in CASES}
    batch: list[Settlement] = []
    for name, case in CASES.items():
        endpoints[name] = await add_endpoint(pool, app)
        batch += await settlements(pool, endpoints[name], app, case.tried)
    await pool.execute(HELD)
    for name, case in CASES.items():
        since, reason = case.before
        await connection.execute(STANDS, endpoints[name], since, reason is not None, reason)

    await connection.fetch(*settling(batch, disable_after=DISABLE_AFTER))

    rows = {row["id"]: row for row in await connection.fetch(STANDING)}
    found = {name: rows[endpoint] for name, endpoint in endpoints.items()}
    assert {name: (row["since"], row["disabled_reason"]) for name, row in found.items()} == {
        name: case.after for name, case in CASES.items()
    }
    assert all(row["disabled"] is (row["disabled_reason"] is not None) for row in found.values())


async def test_a_url_that_an_endpoint_had_when_it_was_called_may_be_gone(pool: asyncpg.Pool) -> None:
    endpoint = await add_endpoint(pool, app := await add_application(pool))
    batch = await settlements(pool, endpoint, app, Tried(gone=True))
    await pool.execute(HELD)
    async with pool.acquire() as customer, customer.transaction():
        await customer.execute("UPDATE endpoint SET url = 'http://127.0.0.1:9/new'")
        settled = asyncio.create_task(pool.fetch(*settling(batch, disable_after=DISABLE_AFTER)))
        while not settled.done() and not await pool.fetchval(WAITS):  # noqa: ASYNC110  # the server's doing
            await asyncio.sleep(0.01)
    await settled

    (stands,) = await pool.fetch(STANDING)
    assert stands["disabled"] is False
    assert stands["since"] is None


async def test_endpoints_rest_after_a_settlement_as_the_domain_says(
    pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    app, endpoints = await add_application(pool), {name: EndpointId("") for name in RESTS}
    batch: list[Settlement] = []
    for name, case in RESTS.items():
        endpoints[name] = await add_endpoint(pool, app)
        (settlement,) = await settlements(pool, endpoints[name], app, Tried(failed=True))
        batch.append(replace(settlement, rest=case.asked))
        if case.before is not None:
            await connection.execute(RESTS_UNTIL, endpoints[name], *case.before)
    await pool.execute(HELD)

    await connection.fetch(*settling(batch, disable_after=DISABLE_AFTER))

    rows = {row["endpoint_id"]: row for row in await connection.fetch(RESTING)}
    found = {name: rows[endpoint] for name, endpoint in endpoints.items()}
    assert {name: row["rests"] for name, row in found.items()} == {name: case.rests for name, case in RESTS.items()}
    assert [name for name, case in RESTS.items() if not case.shortest <= found[name]["left"] <= case.longest] == []
