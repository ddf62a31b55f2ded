"""Every statement that requests run on a tenant's table names the tenant, or the application that it was found in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import event

from service.adapters.postgres import tables
from service.adapters.postgres.engine import Database
from tests.api.walking import ENDLESS, one_of_each, operations

OWNED = {name for name, table in tables.metadata.tables.items() if {"org_id", "app_id"} & set(table.c.keys())}
# By an id that was found under its application a moment before, in the same transaction.
BY_ITS_OWN_ID = (
    re.compile(r"SELECT endpoint\.(secrets|headers) \nFROM endpoint \nWHERE endpoint\.id = "),
    re.compile(r"UPDATE endpoint SET (secrets|headers)=\S+ WHERE endpoint\.id = "),
)
_TOUCHED = re.compile(r"\b(?:FROM|JOIN|UPDATE)\s+(\w+)")
_BOUND = re.compile(r"\b(?:org_id|app_id) = ")


async def test_every_statement_names_its_tenant(app: FastAPI, api: AsyncClient, postgres: Database) -> None:
    with listening(postgres) as statements:
        things = await one_of_each(api, postgres)
        for operation in operations(app, last="DELETE"):
            if operation.name not in ENDLESS:
                answer = await operation.ask(api, things)
                assert answer.status_code < 500, f"{operation.name}: {answer.text}"

    touching = [statement for statement in statements if OWNED & set(_TOUCHED.findall(statement))]
    unbound = [statement for statement in touching if not _BOUND.search(statement)]
    assert len(touching) > 30
    assert [text for text in unbound if not any(known.match(text) for known in BY_ITS_OWN_ID)] == []


@contextmanager
def listening(postgres: Database) -> Iterator[set[str]]:
    """The statements of sessions while the block lasts."""
    heard: set[str] = set()

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.add(statement)

    event.listen(postgres.engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(postgres.engine.sync_engine, "before_cursor_execute", hear)
