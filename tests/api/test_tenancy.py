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
        await use_everything(app, api)

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


async def use_everything(app: FastAPI, api: AsyncClient) -> None:
    """Ask each route of the document once, of things that are there; deleting comes last."""
    things = await some_things(api)
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    for method, path in sorted(routes, key=lambda route: (route[0] == "DELETE", -len(route[1]))):
        if path.endswith(("/tail", "/import")):
            continue  # one answers for ever, the other wants a file
        url = path.removeprefix("/api/v1").format_map(things)
        answer = await api.request(method, url, json=None if method in {"GET", "DELETE"} else _body(path))
        assert answer.status_code < 500, f"{method} {path}: {answer.text}"


async def some_things(api: AsyncClient) -> dict[str, str]:
    """One of each kind of thing, by the names that paths have for them."""
    await api.post("/event-type", json={"name": "known", "description": ""})
    await api.post("/app", json={"name": "a", "uid": "a"})
    await api.post("/app/a/endpoint", json={"url": "http://127.0.0.1:9/", "uid": "e"})
    await api.post("/operational-webhook/endpoint", json={"url": "http://127.0.0.1:9/", "uid": "e"})
    message = await api.post("/app/a/msg", json={"eventType": "known", "payload": {}})
    imported = await api.post("/app/a/msg/import", content=b'{"eventType": "known", "payload": {}}\n')
    return {
        "app_id": "a",
        "endpoint_id": "e",
        "msg_id": message.json()["id"],
        "event_type_name": "known",
        "attempt_id": "atmpt_000000000000000000000000000",
        "import_id": imported.json()["id"],
        "task_id": "qtask_000000000000000000000000000",
    }


def _body(path: str) -> dict[str, Any]:
    """A body that fits any route: fields that one does not know are ignored."""
    name = "known" if "event-type" in path else "a"
    url = "http://127.0.0.1:9/"
    told = {"name": name, "uid": "a" if path.endswith(("{app_id}", "/app")) else "e"}
    return {**told, "url": url, "description": "d", "eventType": "known", "payload": {}, "headers": {}, "schemas": {}}
