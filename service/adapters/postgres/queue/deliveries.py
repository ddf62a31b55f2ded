"""The queue of owed deliveries: claimed under a lease in batches, settled by group commit, given back on leaving."""

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import asyncpg

from service.adapters.postgres.queue.claims import (
    CLAIM,
    CLAIM_BY_TURNS,
    CLAIM_THROTTLED,
    ClaimReader,
    left,
    shares,
    window,
)
from service.adapters.postgres.queue.settlements import Settlements
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import Statement, beside
from service.adapters.postgres.server.wakeups import POLL, Wakeups
from service.application.ports.machine import Vault
from service.domain.deliveries import Claim, Settled, Settlement
from service.domain.ids import ApplicationId, AttemptId, EndpointId
from service.domain.limits import RATE_BURST
from service.observability.deliveries import DeliveryTelemetry

SHORTEST_SLEEP = 0.002  # seconds: whoever wakes a moment early looks again at once
PACE = 0.03  # seconds between two looks at what waits for its turn under a throttle
ROUND_EVERY = 0.1  # seconds
ROUND_SHARE = 4  # a quarter of what may be claimed

RELEASE = beside(__name__)["release"]


class PostgresQueue:
    """Fulfils `ports.DeliveryQueue`. Looks at the latest after `poll` seconds, whatever was announced."""

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
        poll: float = POLL,
    ) -> None:
        self._pool = pool
        self._bell = wakeups.deliveries
        self._lease = lease
        self._reader = ClaimReader(vault)
        self._settlements = Settlements(
            pool, self._bell, disable_after=disable_after, telemetry=telemetry, attempted=attempted
        )
        self._telemetry = telemetry
        self._poll = poll
        self._next_due = 0.0
        self._cursor = ""
        self._crowded = False
        self._next_round_at = 0.0
        self._throttled_wait = False
        self._throttled_cursor = ""
        self._next_turn_at = 0.0

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        """Up to `limit` due deliveries, at most `per_endpoint` of one endpoint, or what `rooms` has for it."""
        self._bell.forget()
        asked = _Asked(lease=os.urandom(8).hex(), limit=limit, per_endpoint=per_endpoint, rooms=rooms)
        with unavailable_when_lost():
            claims = await self._claim_past_the_crowd(asked)
            found, first = await self._claim(CLAIM, asked.after(claims), window=window(limit, rooms))
            claims += found
            self._crowded = first["more"]
            self._next_due = self._poll if first["next_due"] is None else first["next_due"]
            if self._crowded and len(claims) < limit:
                claims += await self._claim_by_turns(asked.after(claims))
                self._next_due = 0.0 if self._cursor else self._next_due
            self._throttled_wait = first["throttled_wait"] or first["put_aside"] > 0
            if first["put_aside"] or self._until_next_turn() <= 0:
                claims += await self._claim_throttled(asked.after(claims))
        self._tell_of_what_was_put_off(first)
        self._telemetry.throttled(first["put_aside"])
        return claims

    async def _claim(
        self, statement: Statement, asked: "_Asked", **where: object
    ) -> tuple[list[Claim], asyncpg.Record]:
        shared = shares(asked.per_endpoint, asked.rooms)
        rows = await self._pool.fetch(
            *statement(lease=asked.lease, lease_lasts=self._lease, most=asked.limit, **shared, **where)
        )
        return self._reader.claims(rows), rows[0]

    async def _claim_past_the_crowd(self, asked: "_Asked") -> list[Claim]:
        """Now and then some of what is due behind the horizon: a tenant's backlog may fill all of it."""
        if not self._crowded or time.monotonic() < self._next_round_at:
            return []
        self._next_round_at = time.monotonic() + ROUND_EVERY
        return await self._claim_by_turns(replace(asked, limit=-(-asked.limit // ROUND_SHARE)))

    async def _claim_by_turns(self, asked: "_Asked") -> list[Claim]:
        claims, row = await self._claim(CLAIM_BY_TURNS, asked, cursor=self._cursor)
        self._cursor = row["cursor"]
        return claims

    async def _claim_throttled(self, asked: "_Asked") -> list[Claim]:
        if not asked.limit:
            return []
        claims, row = await self._claim(CLAIM_THROTTLED, asked, cursor=self._throttled_cursor, burst=RATE_BURST)
        self._throttled_cursor = row["cursor"]
        self._next_turn_at = time.monotonic() + (row["next_turn"] or 0.0)
        return claims

    def _tell_of_what_was_put_off(self, first: asyncpg.Record) -> None:
        """The others may have room when it is due, and this process none."""
        if first["rests_for"] is not None:
            self._bell.announce(first["rests_for"])
        if first["put_aside"]:
            self._bell.announce(max(self._until_next_turn(), PACE))

    def _until_next_turn(self) -> float:
        """Seconds until something under a throttle may leave, or is worth another look."""
        return self._next_turn_at - time.monotonic() if self._throttled_wait else self._poll

    async def settle(self, settlement: Settlement) -> Settled:
        """Keep what came of an attempt, if its lease is still ours."""
        return await self._settlements.settle(settlement)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back unspent; the deliveries are due at once."""
        if not claims:
            return
        with unavailable_when_lost():
            await self._pool.execute(
                *RELEASE(
                    endpoint_ids=[claim.endpoint_id for claim in claims],
                    message_ids=[claim.message_id for claim in claims],
                    resends=[claim.resend for claim in claims],
                    leases=[claim.lease for claim in claims],
                )
            )
        self._bell.announce()

    async def wait(self) -> None:
        """Return when something may be due: announced, or by the clock of what is in the queue."""
        seconds = min(max(self._next_due, SHORTEST_SLEEP), max(self._until_next_turn(), PACE), self._poll)
        await self._bell.wait(seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle while the block lasts."""
        async with self._settlements.running():
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the engine wants, of which a first statement may have given it some."""

    lease: str
    limit: int
    per_endpoint: int
    rooms: Mapping[EndpointId, int]

    def after(self, claims: Sequence[Claim]) -> "_Asked":
        """What is still wanted."""
        rooms = left(self.per_endpoint, self.rooms, claims)
        return replace(self, limit=self.limit - len(claims), rooms=rooms)
