"""What became of every message that was answered 202, told by the database and by the receiver."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from tests.support.postgres import asyncpg_dsn
from tests.support.receiver import Receiver

# A message with a delivery still scheduled is scheduled, whatever else is known of it.
FATES = """
    SELECT i.id,
           CASE WHEN EXISTS (SELECT FROM pending_delivery p WHERE p.message_id = i.id) THEN 'scheduled'
                ELSE (SELECT CASE s.status WHEN 0 THEN 'delivered' ELSE 'exhausted' END
                      FROM settled_delivery s WHERE s.message_id = i.id) END AS fate
    FROM unnest($1::text[]) AS i(id)
"""
LEASES = """
    SELECT count(*) FROM pending_delivery
    WHERE lease IS NOT NULL AND due_at <= $1::timestamptz + $2::interval
"""
STILL_OWED = "SELECT count(*) FROM pending_delivery WHERE message_id = ANY ($1::text[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """accepted = delivered + exhausted + scheduled + lost. A message is lost, too, when it is said to be delivered
    and the receiver never saw it. Duplicates are the calls after the first with which a message was delivered."""

    accepted: int
    delivered: int
    exhausted: int
    scheduled: int
    lost: int
    duplicates: int

    @property
    def balanced(self) -> bool:
        """Whether every message is accounted for, and none as lost."""
        return not self.lost and self.accepted == self.delivered + self.exhausted + self.scheduled


async def draw_up(url: str, accepted: Collection[str], receiver: Receiver) -> Account:
    """The account of these messages, by the state of this moment."""
    calls = Counter(call.header("webhook-id") for call in receiver.calls)
    fates = await _fates(url, accepted)
    unseen = [message for message, fate in fates.items() if fate == "delivered" and not calls[message]]
    counted = Counter(fates.values())
    return Account(
        accepted=len(accepted),
        delivered=counted["delivered"] - len(unseen),
        exhausted=counted["exhausted"],
        scheduled=counted["scheduled"],
        lost=counted[None] + len(unseen),
        duplicates=sum(calls[message] - 1 for message, fate in fates.items() if fate == "delivered" and calls[message]),
    )


async def still_owed(url: str, messages: Collection[str]) -> int:
    """How many deliveries of these messages are not final."""
    return await count(url, STILL_OWED, list(messages))


async def leases_from_before(url: str, moment: datetime, *, lease: timedelta) -> int:
    """How many leases of that length were taken before that moment and are neither settled nor given back."""
    return await count(url, LEASES, moment, lease)


async def count(url: str, query: str, *arguments: object) -> int:
    """The number that `query` gives."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return int(await connection.fetchval(query, *arguments))
    finally:
        await connection.close()


async def _fates(url: str, messages: Collection[str]) -> dict[str, str | None]:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        rows = await connection.fetch(FATES, list(messages))
    finally:
        await connection.close()
    return {row["id"]: row["fate"] for row in rows}
