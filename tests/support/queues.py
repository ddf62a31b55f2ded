"""Queues on a real PostgreSQL, what is owed in them, and what comes of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.claims import ClaimReader
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.wakeups import POLL_INTERVAL_S, Wakeups
from service.domain import ids
from service.domain.deliveries import Attempt, Claim, Settlement, Status, Trigger
from service.domain.ids import ApplicationId, AttemptId, EndpointId
from service.domain.retries import Canceled, Verdict
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import ORG, VAULT


@asynccontextmanager
async def a_worker(
    pool: asyncpg.Pool,
    database: str,
    told: DeliveryTelemetry,
    *,
    claims: asyncpg.Pool | None = None,
    wakeups: Wakeups | None = None,
    poll: float = POLL_INTERVAL_S,
    lease: timedelta = timedelta(seconds=30),
) -> AsyncIterator[PostgresQueue]:
    """A queue as each process has its own."""
    queue = PostgresQueue(
        pool,
        claims or pool,
        ClaimReader(VAULT),
        wakeups or Wakeups(dsn(database)),
        lease=lease,
        disable_after=timedelta(days=5),
        telemetry=told,
        poll=poll,
    )
    async with queue.running():
        yield queue


async def owe(
    pool: asyncpg.Pool,
    endpoint: EndpointId,
    app: ApplicationId,
    count: int = 1,
    *,
    due_in: timedelta = timedelta(),
    attempts: int = 0,
) -> list[str]:
    """Deliveries that are due, in the order of the list."""
    messages = [new_id(ids.MESSAGE) for _ in range(count)]
    for place, message in enumerate(messages):
        await pool.execute(
            "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
            " VALUES ($1, $2, $3, 'invoice.paid', '{}', now() + interval '90 days', 'a-request')",
            message,
            ORG,
            app,
        )
        await pool.execute(
            "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, attempts)"
            " VALUES ($1, $2, $3, $4, now() + $5 + make_interval(secs => $6), $7)",
            endpoint,
            message,
            ORG,
            app,
            due_in - timedelta(seconds=1),
            place / 1000,
            attempts,
        )
    return messages


def came_of(claim: Claim, verdict: Verdict, *, status: Status = Status.FAIL, **changed: Any) -> Settlement:
    """What is to be kept of an attempt at that claim."""
    attempt = Attempt(
        id=AttemptId(new_id(ids.ATTEMPT)),
        message_id=claim.message_id,
        endpoint_id=claim.endpoint_id,
        event_type=claim.event_type,
        destination=claim.destination,
        status=status,
        response="",
        response_status_code=200,
        duration_ms=3,
        trigger=Trigger.SCHEDULED,
        number=claim.attempt,
        started_at=datetime.now(UTC),
        error_type=None,
        trace_id=None,
    )
    attempt = replace(attempt, **changed)
    return Settlement(claim=claim, verdict=verdict, attempt=None if isinstance(verdict, Canceled) else attempt)
