"""Payloads leave when their time is over, found by an index that holds only those that are there."""

from datetime import UTC, datetime, timedelta

from service.adapters.postgres.server.database import open_database
from service.adapters.postgres.upkeep import PostgresUpkeep


async def test_a_payload_is_removed_when_its_time_is_over_and_the_message_stays(database: str) -> None:
    now = datetime.now(UTC)
    async with open_database(database) as opened:
        for name, expires_at in {"over": now - timedelta(seconds=1), "kept": now + timedelta(hours=1)}.items():
            await opened.pool.execute(
                "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
                " VALUES ($1, 'org', 'app', 't', '{}', $2, '')",
                f"msg_z{name}",  # of a time that no week is dropped for
                expires_at,
            )

        await PostgresUpkeep(opened.pool, kept=timedelta(days=97)).clear_away(now=now)
        rows = await opened.pool.fetch("SELECT id, payload FROM message ORDER BY id")

    assert {row["id"]: row["payload"] for row in rows} == {"msg_zkept": b"{}", "msg_zover": None}
