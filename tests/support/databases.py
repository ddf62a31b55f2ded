"""Several databases of one Relevo, and organisations that live in them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from service.adapters.access.tokens import Tokens
from service.domain.ids import OrgId
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import SECRET


def named(**urls: str) -> dict[str, str]:
    """The setting for these databases: `eu_1` is the one named `eu-1`, and the first is home."""
    return {"RELEVO_DATABASES": json.dumps({name.replace("_", "-"): url for name, url in urls.items()})}


def bearer(org_id: str) -> dict[str, str]:
    """The header of an organisation's admin."""
    return {"authorization": f"Bearer {Tokens(SECRET).mint(OrgId(org_id), now=datetime.now(UTC))}"}


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to one of them."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        yield connection
    finally:
        await connection.close()


async def homes(url: str) -> Mapping[str, str]:
    """Where each organisation lives, as the database that is home says."""
    async with asking(url) as connection:
        return dict(await connection.fetch("SELECT org_id, database FROM organisation_home"))


async def column(url: str, query: str) -> list[Any]:
    """The first column of what a query finds."""
    async with asking(url) as connection:
        return [row[0] for row in await connection.fetch(query)]
