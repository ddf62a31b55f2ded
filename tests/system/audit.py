"""Looks into the database while Relevo runs: is every delivery that is owed written down?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.support.postgres import asyncpg_dsn

# One statement sees one state of the database, so what it finds was true at that moment.
FORGOTTEN = """
    SELECT count(*) FROM message
    WHERE NOT EXISTS (SELECT FROM pending_delivery WHERE message_id = message.id)
      AND NOT EXISTS (SELECT FROM settled_delivery WHERE message_id = message.id)
"""
EVERY = 0.05  # seconds


@dataclass(slots=True, kw_only=True)
class Findings:
    """How often was looked, and the most messages without a delivery that were seen at once."""

    looks: int = 0
    forgotten: int = 0


@asynccontextmanager
async def auditing(url: str) -> AsyncIterator[Findings]:
    """Look again and again until the block ends."""
    findings = Findings()
    task = asyncio.create_task(_look(url, findings))
    try:
        yield findings
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def ask(url: str, query: str, *arguments: object) -> object:
    """The first value that `query` gives."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def until_nothing_is_owed(url: str, *, within: float) -> None:
    """Until every delivery is final."""
    async with asyncio.timeout(within):
        while await ask(url, "SELECT count(*) FROM pending_delivery"):  # noqa: ASYNC110  # another process's doing
            await asyncio.sleep(EVERY)


async def _look(url: str, findings: Findings) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        while True:
            findings.forgotten = max(findings.forgotten, await connection.fetchval(FORGOTTEN))
            findings.looks += 1
            await asyncio.sleep(EVERY)
    finally:
        await connection.close()
