"""An hour of the queue's life without anybody to send to: owed, claimed, settled, one in ten after another try."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from service.adapters.machine.clock import new_id
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.queue.claims import ClaimReader
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.server.database import dsn, open_database
from service.adapters.postgres.server.wakeups import Wakeups
from service.domain import ids
from service.domain.deliveries import Attempt, Claim, Settlement, Status, Trigger
from service.domain.ids import AttemptId
from service.domain.retries import Delivered, TryAgain, Verdict
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import open_telemetry
from tests.benchmarks.database import SECRET_KEY, Database
from tests.benchmarks.measure import check

A_SECOND = 100
A_BATCH = 250
A_TENTH = 10
STANDING = 20_000
SILENT = {"OTEL_SDK_DISABLED": "true"}

_OWE = """
INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
SELECT e.id, i.id, e.org_id, e.app_id, now() + $2::interval
FROM unnest($1::text[]) WITH ORDINALITY AS i(id, n)
JOIN (SELECT *, row_number() OVER () AS nth, count(*) OVER () AS many FROM endpoint) e ON e.nth = i.n % e.many + 1
"""
_SIZE = "SELECT pg_total_relation_size('pending_delivery')"


def churned(used: Database, *, seconds: int) -> list[int]:
    """The bytes of the queue's table and its indexes after each tenth of so many seconds' deliveries."""
    return asyncio.run(_churn(used.url, seconds * A_SECOND // A_BATCH))


async def _churn(url: str, batches: int) -> list[int]:
    async with (
        open_database(url) as opened,
        open_telemetry(role="benchmark", version="1", environ=SILENT) as telemetry,
    ):
        queue = PostgresQueue(
            opened.pool,
            opened.claims,
            ClaimReader(AesVault([SECRET_KEY])),
            Wakeups(dsn(url)),
            lease=timedelta(minutes=5),
            disable_after=timedelta(days=5),
            telemetry=DeliveryTelemetry(telemetry),
        )
        await _owe(opened.pool, STANDING, timedelta(hours=12))
        sizes = []
        async with queue.running():
            for batch in range(batches):
                await _owe(opened.pool, A_BATCH, timedelta(0))
                await _work(queue)
                if (batch + 1) * A_TENTH % batches < A_TENTH:
                    sizes.append(await opened.pool.fetchval(_SIZE))
            while await _work(queue):
                pass
        left = await opened.pool.fetchval("SELECT count(*) FROM pending_delivery")
        check(left == STANDING, f"{STANDING} are left of all that was owed: {left}")
    return sizes


async def _owe(pool: asyncpg.Pool, count: int, later: timedelta) -> None:
    await pool.execute(_OWE, [new_id(ids.MESSAGE) for _ in range(count)], later)


async def _work(queue: PostgresQueue) -> Sequence[Claim]:
    # More than a batch, or the second tries would pile up behind the first ones of later batches.
    claims = await queue.claim(limit=2 * A_BATCH, per_endpoint=A_BATCH, rooms={})
    settled = await asyncio.gather(*(queue.settle(_settlement(nth, claim)) for nth, claim in enumerate(claims)))
    check(all(one.applied for one in settled), "each is settled by whoever claimed it")
    return claims


def _settlement(nth: int, claim: Claim) -> Settlement:
    again = nth % 10 == 0 and claim.attempt == 1
    verdict: Verdict = TryAgain(delay=timedelta(0)) if again else Delivered()
    attempt = Attempt(
        id=AttemptId(new_id(ids.ATTEMPT)),
        message_id=claim.message_id,
        endpoint_id=claim.endpoint_id,
        event_type=claim.event_type,
        destination=claim.destination,
        status=Status.FAIL if again else Status.SUCCESS,
        response="{}",
        response_status_code=500 if again else 200,
        duration_ms=5,
        trigger=Trigger.SCHEDULED,
        number=claim.attempt,
        started_at=datetime.now(UTC),
        error_type=None,
        trace_id=None,
    )
    return Settlement(claim=claim, verdict=verdict, attempt=attempt)
