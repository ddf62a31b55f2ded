"""Claims of due deliveries, through the queue as the engine uses it, but with nobody to send them."""

import asyncio
import time
from datetime import timedelta

from service.adapters.machine.vault import AesVault
from service.adapters.postgres.queue.claims import ClaimReader
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.server.database import dsn, open_database
from service.adapters.postgres.server.wakeups import Wakeups
from service.domain.deliveries import Claim
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import open_telemetry
from tests.benchmarks.database import SECRET_KEY, Database
from tests.benchmarks.measure import Turn, check

BATCH = 100
BATCHES = 40


def claimed(used: Database) -> Turn:
    """Deliveries claimed a second, a hundred at a time; given back afterwards."""
    return Turn(asyncio.run(_rate(used.url)))


async def _rate(url: str) -> float:
    silent = {"OTEL_SDK_DISABLED": "true"}
    async with (
        open_database(url) as opened,
        open_telemetry(role="benchmark", version="1", environ=silent) as telemetry,
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
        claims: list[Claim] = []
        began = time.perf_counter()
        for _ in range(BATCHES):
            claims += await queue.claim(limit=BATCH, per_endpoint=BATCH, rooms={})
        seconds = time.perf_counter() - began
        check(len({(claim.message_id, claim.endpoint_id) for claim in claims}) == BATCH * BATCHES, "each claimed once")
        await queue.release(claims)
    return BATCH * BATCHES / seconds
