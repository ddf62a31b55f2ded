"""The delivery queue: claims under a lease in batches, settlements by group commit, release at shutdown."""

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
    new_lease,
    shares,
    window,
)
from service.adapters.postgres.queue.settlements import Settlements
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import Statement, beside
from service.adapters.postgres.server.wakeups import POLL_INTERVAL_S, Wakeups
from service.domain.deliveries import Claim, Settled, Settlement
from service.domain.errors import Unavailable
from service.domain.ids import ApplicationId, AttemptId, EndpointId
from service.domain.limits import RATE_BURST
from service.observability.deliveries import DeliveryTelemetry

MIN_SLEEP_S = 0.002  # short, since a timer may fire a moment early
THROTTLE_INTERVAL_S = 0.03  # minimum time between two looks at throttled deliveries
ROUND_INTERVAL_S = 0.1  # between rounds by endpoints while a backlog fills the window
ROUND_FRACTION = 4  # a round claims a quarter of the limit

RELEASE = beside(__name__)["release"]


class PostgresQueue:
    """Fulfils `ports.DeliveryQueue`, on the pools of the hot path and of claims. Polls every `poll`
    seconds, in case a wake-up was lost."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        claims: asyncpg.Pool,
        reader: ClaimReader,
        wakeups: Wakeups,
        *,
        lease: timedelta,
        disable_after: timedelta,
        telemetry: DeliveryTelemetry,
        attempted: Callable[[ApplicationId, AttemptId], None] = lambda _app, _attempt: None,
        poll: float = POLL_INTERVAL_S,
    ) -> None:
        self._pool = pool
        self._claims = claims
        self._bell = wakeups.deliveries
        self._lease = lease
        self._reader = reader
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
        """Claim up to `limit` due deliveries: per endpoint at most its number in `rooms`, else `per_endpoint`."""
        self._bell.forget()
        asked = _Asked(lease=new_lease(), limit=limit, per_endpoint=per_endpoint, rooms=rooms)
        claims: list[Claim] = []
        try:
            with unavailable_when_lost():
                await self._claim_all(asked, claims)
        except Unavailable:
            if not claims:
                raise
            self._next_due = 0.0  # these are ours; whoever asks for the rest learns that the database is away
        return claims

    async def _claim_all(self, asked: "_Asked", claims: list[Claim]) -> None:
        """Add to the claims, statement by statement."""
        claims += await self._claim_past_backlog(asked)
        found, first = await self._claim(CLAIM, asked.after(claims), window=window(asked.limit, asked.rooms))
        claims += found
        self._crowded = first["more"]
        self._next_due = self._poll if first["next_due"] is None else first["next_due"]
        self._throttled_wait = first["throttled_wait"] or first["put_aside"] > 0
        self._telemetry.throttled(first["put_aside"])
        if self._crowded and len(claims) < asked.limit:
            claims += await self._claim_by_turns(asked.after(claims))
            self._next_due = 0.0 if self._cursor else self._next_due
        if first["put_aside"] or self._until_next_turn() <= 0:
            claims += await self._claim_throttled(asked.after(claims))
        self._announce_deferred(first)

    async def _claim(
        self, statement: Statement, asked: "_Asked", **where: object
    ) -> tuple[list[Claim], asyncpg.Record]:
        shared = shares(asked.per_endpoint, asked.rooms)
        rows = await self._claims.fetch(
            *statement(lease=asked.lease, lease_lasts=self._lease, most=asked.limit, **shared, **where)
        )
        return self._reader.claims(rows), rows[0]

    async def _claim_past_backlog(self, asked: "_Asked") -> list[Claim]:
        """While a backlog fills the window, claim a quarter of the limit by turns, at most every 0.1 s."""
        if not self._crowded or time.monotonic() < self._next_round_at:
            return []
        self._next_round_at = time.monotonic() + ROUND_INTERVAL_S
        return await self._claim_by_turns(replace(asked, limit=-(-asked.limit // ROUND_FRACTION)))

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

    def _announce_deferred(self, first: asyncpg.Record) -> None:
        """Announce deferred deliveries to the other processes, which may have free places when they are due."""
        if first["rests_for"] is not None:
            self._bell.announce(first["rests_for"])
        if first["put_aside"]:
            self._bell.announce(max(self._until_next_turn(), THROTTLE_INTERVAL_S))

    def _until_next_turn(self) -> float:
        """Seconds until a throttled delivery may be due."""
        return self._next_turn_at - time.monotonic() if self._throttled_wait else self._poll

    async def settle(self, settlement: Settlement) -> Settled:
        """Store the outcome of an attempt, if its lease is still ours. Raises Unavailable."""
        return await self._settlements.settle(settlement)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Release leases without an attempt; the deliveries are due at once."""
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
        """Return when something may be due: announced, or known from the last claim."""
        seconds = min(max(self._next_due, MIN_SLEEP_S), max(self._until_next_turn(), THROTTLE_INTERVAL_S), self._poll)
        await self._bell.wait(seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle while the block lasts."""
        async with self._settlements.running():
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a claim asks for, less what earlier statements of it have taken."""

    lease: str
    limit: int
    per_endpoint: int
    rooms: Mapping[EndpointId, int]

    def after(self, claims: Sequence[Claim]) -> "_Asked":
        """What is left to claim after these."""
        rooms = left(self.per_endpoint, self.rooms, claims)
        return replace(self, limit=self.limit - len(claims), rooms=rooms)
