"""Ordered destinations that are behind their streams: claims under a lease, progress, setbacks."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from service.adapters.postgres.queue.claims import new_lease
from service.adapters.postgres.queue.streams import passage_of, reading
from service.adapters.postgres.server.columns import open_secrets, open_sink
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.wakeups import POLL_INTERVAL_S, Bell
from service.application.ports.machine import Vault
from service.application.ports.ordered import Done, Extent, OrderedClaim, Passage, StreamLag
from service.domain.moves import SET_ASIDE
from service.domain.ordered import OrderedDestination, OrderedStatus, Setback, Standing
from service.domain.sinks import SinkKind

PASSAGE_MESSAGES = 1_000  # read at once, at most
MIN_SLEEP_S = 0.01
IDLE_STREAMS = 1_000  # set at rest in one transaction

_statements = beside(__name__)
CLAIM, NEXT_DUE, LAG = _statements["claim"], _statements["next_due"], _statements["lag"]
ADVANCE, FAIL, RELEASE = _statements["advance"], _statements["fail"], _statements["release"]
IDLE, REST = _statements["idle"], _statements["rest"]


class PostgresOrderedQueue:
    """Fulfils `ports.OrderedQueue` for destinations of these kinds. Polls every `poll` seconds, in case a wake-up was
    lost."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        bell: Bell,
        vault: Vault,
        *,
        kinds: Collection[SinkKind],
        lease: timedelta,
        poll: float = POLL_INTERVAL_S,
    ) -> None:
        self._pool = pool
        self._bell = bell
        self._vault = vault
        self._kinds = [kind.value for kind in kinds]
        self._lease = lease
        self._poll = poll
        self._next_due = 0.0
        self._next_rest_at = 0.0

    async def claim(self, *, limit: int) -> list[OrderedClaim]:
        """Claim up to `limit` destinations that are due, those that have waited longest first."""
        self._bell.forget()
        with unavailable_when_lost():
            lease = new_lease()
            rows = await self._pool.fetch(*CLAIM(kinds=self._kinds, most=limit, lease=lease, lease_lasts=self._lease))
            if not rows:
                await self._look_ahead()
        return [self._claim(row) for row in rows]

    async def _look_ahead(self) -> None:
        """When the next one is due. Now and then, streams that nobody is behind are set at rest."""
        due = await self._pool.fetchval(*NEXT_DUE(kinds=self._kinds))
        self._next_due = self._poll if due is None else due
        if time.monotonic() >= self._next_rest_at:
            self._next_rest_at = time.monotonic() + self._poll
            await self._set_at_rest()

    async def _set_at_rest(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            if apps := [row["app_id"] for row in await connection.fetch(*IDLE(most=IDLE_STREAMS))]:
                await connection.execute(*REST(apps=apps))

    def _claim(self, row: asyncpg.Record) -> OrderedClaim:
        sealed = row["secrets"]
        return OrderedClaim(
            destination=destination_of(row, self._vault),
            secrets=() if sealed is None else open_secrets(self._vault, sealed),
            lease=row["lease"],
            ahead=tuple(row["ahead"]),
        )

    async def read(self, claim: OrderedClaim, *, after: int) -> Passage:
        """The messages after a position that the destination wants."""
        destination = claim.destination
        extent = Extent(messages=PASSAGE_MESSAGES, event_types=destination.event_types, channels=destination.channels)
        with unavailable_when_lost():
            rows = await self._pool.fetch(*reading(destination.app_id, extent, after=after))
        return passage_of(rows, extent, after=after)

    async def advance(self, claim: OrderedClaim, done: Done) -> bool:
        """Store progress, and extend the lease. False when the lease is lost, or the destination was changed."""
        ours = _ours(claim, done) | _set_back(done.setback)
        with unavailable_when_lost():
            unchanged = await self._pool.fetchval(
                *ADVANCE(**ours, lease_lasts=self._lease, claimed_at=claim.destination.updated_at, aside=SET_ASIDE)
            )
        return bool(unchanged)

    async def fail(self, claim: OrderedClaim, done: Done, setback: Setback) -> None:
        """Store progress and a setback, and give the lease back. A destination that was changed meanwhile has no
        setback: it is tried as it is now."""
        ours = _ours(claim, done) | _set_back(setback)
        with unavailable_when_lost():
            applied = await self._pool.fetchval(
                *FAIL(**ours, claimed_at=claim.destination.updated_at, disabled=setback.disabled)
            )
        if applied:
            self._bell.announce(setback.delay.total_seconds())
        else:
            await self.release(claim, done)

    async def release(self, claim: OrderedClaim, done: Done) -> None:
        """Store progress, and give the lease back. What came meanwhile is claimed anew."""
        with unavailable_when_lost():
            await self._pool.execute(*RELEASE(**_ours(claim, done), aside=SET_ASIDE))
        self._bell.ring()

    async def wait(self) -> None:
        """Return when a destination may be due: announced, or known from the last claim."""
        await self._bell.wait(min(max(self._next_due, MIN_SLEEP_S), self._poll))


async def sample_lags(pool: asyncpg.Pool) -> Mapping[SinkKind, StreamLag]:
    """How far the destination of each kind is behind that is furthest behind."""
    with unavailable_when_lost():
        rows = await pool.fetch(*LAG())
    found = {SinkKind(row["kind"]): StreamLag(messages=row["messages"], seconds=row["seconds"]) for row in rows}
    nothing = {kind: StreamLag(messages=0, seconds=0.0) for kind in SinkKind if kind is not SinkKind.POLLING}
    return nothing | {kind: replace(lag, seconds=max(lag.seconds, 0.0)) for kind, lag in found.items()}


def destination_of(row: Any, vault: Vault) -> OrderedDestination:
    """The destination in a row that has the table's columns by key."""
    metadata = row["metadata"]
    return OrderedDestination(
        id=row["id"],
        org_id=row["org_id"],
        app_id=row["app_id"],
        uid=row["uid"],
        sink=open_sink(vault, row["kind"], row["sealed"]),
        status=OrderedStatus(row["status"]),
        batch_size=row["batch_size"],
        max_wait_secs=row["max_wait_secs"],
        event_types=_names(row["event_types"]),
        channels=_names(row["channels"]),
        metadata=orjson.loads(metadata) if isinstance(metadata, str) else metadata,
        position=row["position"],
        attempts=row["attempts"],
        first_failed_at=row["first_failed_at"],
        due_at=row["due_at"],
        failure_reason=row["failure_reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _names(column: list[str] | None) -> tuple[str, ...] | None:
    return None if column is None else tuple(column)


def _ours(claim: OrderedClaim, done: Done) -> dict[str, object]:
    return {
        "id": claim.destination.id,
        "lease": claim.lease,
        "position": done.position,
        "ahead": list(done.ahead),
    }


def _set_back(setback: Setback | None) -> dict[str, object]:
    standing = Standing() if setback is None else setback.standing
    return {
        "attempts": standing.attempts,
        "first_failed_at": standing.first_failed_at,
        "reason": None if setback is None else setback.reason,
        "delay": None if setback is None else setback.delay,
    }
