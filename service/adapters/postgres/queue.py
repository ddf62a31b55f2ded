"""The queue of owed deliveries: claimed under a lease in batches, settled by group commit, given back on leaving."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from service.adapters.postgres.claims import CLAIM, CLAIM_BY_TURNS, ClaimReader, shares
from service.adapters.postgres.engine import unavailable_when_lost
from service.adapters.postgres.settlements import Settlements, columns, key
from service.adapters.postgres.wakeups import Wakeups
from service.application.ports.engine import Settled, Settlement
from service.application.ports.world import Vault
from service.domain.deliveries import Claim
from service.domain.ids import ApplicationId, AttemptId, EndpointId
from service.observability.deliveries import DeliveryTelemetry

LONGEST_SLEEP = 5.0

RELEASE = """
UPDATE pending_delivery p SET lease = NULL, due_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS i(endpoint_id, message_id, resend, lease)
WHERE p.endpoint_id = i.endpoint_id AND p.message_id = i.message_id AND p.resend = i.resend AND p.lease = i.lease
"""


class PostgresQueue:
    """Fulfils `ports.DeliveryQueue`."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: Vault,
        wakeups: Wakeups,
        *,
        lease: timedelta,
        disable_after: timedelta,
        telemetry: DeliveryTelemetry,
        attempted: Callable[[ApplicationId, AttemptId], None] = lambda _app, _attempt: None,
    ) -> None:
        self._pool = pool
        self._wakeups = wakeups
        self._lease = lease
        self._reader = ClaimReader(vault)
        self._settlements = Settlements(
            pool, wakeups, disable_after=disable_after, telemetry=telemetry, attempted=attempted
        )
        self._next_due = 0.0
        self._cursor = ""

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        """Up to `limit` due deliveries, at most `per_endpoint` of one endpoint, or what `rooms` has for it."""
        self._wakeups.forget()
        lease = os.urandom(8).hex()
        share = shares(per_endpoint, rooms)
        with unavailable_when_lost():
            rows = await self._pool.fetch(CLAIM, lease, self._lease, limit, *share)
            self._next_due = LONGEST_SLEEP if rows[0]["next_due"] is None else rows[0]["next_due"]
            claims = self._reader.claims(rows)
            if rows[0]["more"] and len(claims) < limit:
                rows = await self._pool.fetch(
                    CLAIM_BY_TURNS, lease, self._lease, limit - len(claims), *share, self._cursor
                )
                self._cursor = rows[0]["cursor"]
                claims += self._reader.claims(rows)
                self._next_due = 0.0 if self._cursor else self._next_due
        return claims

    async def settle(self, settlement: Settlement) -> Settled:
        """Keep what came of an attempt, if its lease is still ours."""
        return await self._settlements.settle(settlement)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back unspent; the deliveries are due at once."""
        if not claims:
            return
        with unavailable_when_lost():
            await self._pool.execute(RELEASE, *columns([key(claim) for claim in claims]))
        self._wakeups.announce()

    async def wait(self) -> None:
        """Return when something may be due: announced, or by the clock of what is in the queue."""
        await self._wakeups.wait(min(max(self._next_due, 0.01), LONGEST_SLEEP))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle while the block lasts."""
        async with self._settlements.running():
            yield
