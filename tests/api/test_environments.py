"""Setting up by document: environments come out as they went in, OpenAPI webhooks become event types."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from typing import Any

import orjson
import pytest
from httpx import AsyncClient
from sqlalchemy import event

from service.adapters.postgres.server.database import Database
from tests.support.factories import ORG, add_event_types

SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "webhooks": {
        "invoice.paid": {
            "post": {
                "description": "An invoice was paid.",
                "tags": ["billing"],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Invoice"},
                            "example": {"id": 1, "customer": {"name": "A"}},
                        }
                    }
                },
            }
        },
        "invoice.lost": {"post": {"summary": "Lost.", "deprecated": True}},
    },
    "components": {
        "schemas": {
            "Invoice": {"type": "object", "properties": {"customer": {"$ref": "#/components/schemas/Customer"}}},
            "Customer": {"type": "object", "required": ["name"]},
            "Unused": {"type": "object"},
        }
    },
}

AS_YAML = """
openapi: 3.1.0
webhooks:
  user.created:
    post:
      description: 2020-01-01
      requestBody:
        content:
          application/json:
            schema: {type: object}
"""


async def names(api: AsyncClient) -> list[str]:
    return [event_type["name"] for event_type in (await api.get("/event-type")).json()["data"]]


async def test_what_was_exported_sets_up_the_same_again(api: AsyncClient) -> None:
    for name in ("a", "b", "c"):
        body = {"name": name, "description": "d", "schemas": {"1": {"type": "object"}}, "validatePayloads": True}
        (await api.post("/event-type", json=body)).raise_for_status()
    await api.delete("/event-type/c")
    exported = (await api.post("/environment/export")).json()
    for name in ("a", "b", "c"):
        await api.delete(f"/event-type/{name}", params={"expunge": "true"})

    imported = [await api.post("/environment/import", json=exported) for _ in range(2)]
    again = (await api.post("/environment/export")).json()

    assert [answer.status_code for answer in imported] == [204, 204]
    assert await names(api) == ["a", "b"]
    for before, after in zip(exported["eventTypes"], again["eventTypes"], strict=True):
        times = {"createdAt": None, "updatedAt": None}
        assert before | times == after | times


async def test_where_there_is_nothing_nothing_is_exported(api: AsyncClient) -> None:
    exported = await api.post("/environment/export")

    assert (exported.status_code, exported.json()["eventTypes"]) == (200, [])
    assert (await api.post("/environment/import", json=exported.json())).status_code == 204


async def test_webhooks_of_a_document_become_event_types_with_their_own_schemas(api: AsyncClient) -> None:
    answer = await api.post("/event-type/import/openapi", json={"spec": SPEC})
    paid = (await api.get("/event-type/invoice.paid")).json()
    lost = (await api.get("/event-type/invoice.lost")).json()

    assert answer.json() == {"data": {"modified": ["invoice.lost", "invoice.paid"], "to_modify": None}}
    assert paid["description"] == "An invoice was paid."
    assert paid["groupName"] == "billing"
    assert paid["schemas"]["1"] == {
        "$ref": "#/definitions/Invoice",
        "examples": [{"id": 1, "customer": {"name": "A"}}],
        "definitions": {
            "Invoice": {"type": "object", "properties": {"customer": {"$ref": "#/definitions/Customer"}}},
            "Customer": {"type": "object", "required": ["name"]},
        },
    }
    assert (lost["description"], lost["deprecated"], lost["schemas"]) == ("Lost.", True, None)


async def test_a_dry_run_changes_nothing_and_tells_what_it_would(api: AsyncClient) -> None:
    answer = await api.post("/event-type/import/openapi", json={"specRaw": AS_YAML, "dryRun": True})

    (described,) = answer.json()["data"]["to_modify"]
    assert (described["name"], described["description"]) == ("user.created", "2020-01-01")
    assert await names(api) == []


async def test_a_dry_run_is_no_import_in_the_audit_trail(api: AsyncClient) -> None:
    for dry_run in (True, False):
        body = {"specRaw": AS_YAML, "dryRun": dry_run}
        (await api.post("/event-type/import/openapi", json=body)).raise_for_status()

    events = (await api.get("/audit")).json()["data"]

    assert [event["action"] for event in events] == ["event_types.imported"]


async def test_a_dry_run_that_replaces_everything_names_what_it_would_archive(api: AsyncClient) -> None:
    await api.post("/event-type", json={"name": "old", "description": "Of old."})

    answer = await api.post("/event-type/import/openapi", json={"specRaw": AS_YAML, "dryRun": True, "replaceAll": True})

    created, archived = answer.json()["data"]["to_modify"]
    assert (created["name"], created["archived"]) == ("user.created", False)
    assert (archived["name"], archived["description"], archived["archived"]) == ("old", "Of old.", True)
    assert await names(api) == ["old"]


async def test_a_document_may_replace_everything_and_changes_only_what_differs(api: AsyncClient) -> None:
    await api.post("/event-type", json={"name": "old", "description": ""})
    await api.post("/event-type/import/openapi", json={"spec": SPEC})
    await api.patch("/event-type/invoice.paid", json={"featureFlags": ["beta"], "validatePayloads": True})

    answer = await api.post("/event-type/import/openapi", json={"spec": SPEC, "replaceAll": True})
    paid = (await api.get("/event-type/invoice.paid")).json()

    assert answer.json()["data"]["modified"] == ["old"]
    assert await names(api) == ["invoice.lost", "invoice.paid"]
    assert (paid["featureFlags"], paid["validatePayloads"]) == (["beta"], True)


@pytest.mark.parametrize("path", ["/environment/import", "/event-type/import/openapi"])
async def test_many_event_types_take_a_few_statements(api: AsyncClient, postgres: Database, path: str) -> None:
    many = [f"t{number}" for number in range(1500)]

    def described(names: Sequence[str]) -> dict[str, Any]:
        if path == "/environment/import":
            return {"eventTypes": [{"name": name, "description": name} for name in names]}
        webhooks = {name: {"post": {"description": name}} for name in names}
        return {"spec": {"webhooks": webhooks}, "replaceAll": True}

    with counting(postgres) as statements:
        first = await api.post(path, json=described(many))
        again = await api.post(path, json=described([*many[:700], "new"]))

    assert (first.is_success, again.is_success) == (True, True)
    kept = await postgres.pool.fetch("SELECT name, description, archived FROM event_type WHERE org_id = $1", ORG)
    archived = set() if path == "/environment/import" else set(many[700:])
    assert {row["name"] for row in kept} == {*many, "new"}
    assert {row["name"] for row in kept if row["archived"]} == archived
    assert all(row["name"] == row["description"] for row in kept)
    assert len(statements) < 40


@contextmanager
def counting(postgres: Database) -> Iterator[list[str]]:
    """The statements of sessions while the block lasts, each as often as it was made."""
    heard: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.append(statement)

    event.listen(postgres.engine.sync_engine, "before_cursor_execute", hear)
    yield heard
    event.remove(postgres.engine.sync_engine, "before_cursor_execute", hear)


async def test_an_event_type_that_is_described_twice_is_what_is_said_last(api: AsyncClient) -> None:
    twice = [{"name": "a", "description": "first"}, {"name": "a", "description": "last"}]

    (await api.post("/environment/import", json={"eventTypes": twice})).raise_for_status()

    assert (await api.get("/event-type/a")).json()["description"] == "last"


async def test_a_description_that_is_nested_too_deep_is_told_so(api: AsyncClient) -> None:
    answer = await api.post("/event-type/import/openapi", json={"specRaw": f"a: {'[' * 2000}{']' * 2000}"})

    assert answer.status_code == 400
    assert answer.json()["detail"] == "This is neither JSON nor YAML: it is nested too deep."


async def test_large_event_types_are_compared_a_few_at_a_time_and_none_is_passed_over(
    api: AsyncClient, postgres: Database
) -> None:
    names = [f"t{number}" for number in range(100, 150)]
    await add_event_types(postgres.pool, names, characters=120_000)
    webhooks = {name: {"post": {"description": "new"}} for name in [*names, "t000"]}

    answer = await api.post("/event-type/import/openapi", json={"spec": {"webhooks": webhooks}})

    assert answer.json()["data"]["modified"] == ["t000", *names]
    assert await postgres.pool.fetchval("SELECT count(*) FROM event_type WHERE description = 'new'") == 51


def raw(description: str, *, schema: str = "{}") -> str:
    """JSON where both are JSON, and YAML otherwise."""
    body = f'"requestBody": {{"content": {{"application/json": {{"schema": {schema}}}}}}}'
    return f'{{"webhooks": {{"a": {{"post": {{"description": {description or dumps("")}, {body}}}}}}}}}'


@pytest.mark.parametrize("name", ["200", "1.5", "yes", "null", "2026-01-01", "~", "<"])
async def test_names_in_yaml_are_what_is_written(api: AsyncClient, name: str) -> None:
    schema = f"{{properties: {{{name}: {{const: 0.10}}}}}}"

    (await api.post("/event-type/import/openapi", json={"specRaw": raw("", schema=schema)})).raise_for_status()

    schemas = (await api.get("/event-type/a")).json()["schemas"]
    assert schemas["1"] == {"properties": {name: {"const": 0.1}}}


BOMB = "a: &a [x]\nb: &b [*a, *a]\nwebhooks: *b\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"spec": {}, "specRaw": ""}, 400),
        ({"specRaw": "{"}, 400),
        ({"specRaw": "[" * 5000}, 400),
        ({"specRaw": BOMB}, 400),
        ({"specRaw": "- a"}, 400),
        ({"specRaw": raw('"half a character: \\ud800"')}, 400),
        ({"specRaw": raw("!!bool maybe")}, 400),
        ({"specRaw": raw("!!int none")}, 400),
        ({"specRaw": raw('!!int ""')}, 400),
        ({"specRaw": raw("!!timestamp tomorrow")}, 400),
        ({"specRaw": raw("!!python/object:os.system x")}, 400),
        ({"specRaw": raw("", schema='{title: "\\ud800"}')}, 400),
        ({"specRaw": raw("", schema='{"not":' * 900 + "{}" + "}" * 900)}, 400),
        ({"specRaw": raw("", schema="{? [a, b] : {}}")}, 400),
        ({"specRaw": dumps({"webhooks": {f"a{number}": {"post": {}} for number in range(5001)}})}, 400),
        ({"spec": {"webhooks": {"a": {}}}}, 400),
        ({"spec": {"webhooks": {"a": {"$ref": "#/nowhere"}}}}, 400),
        ({"spec": {"webhooks": {"not a name": {"post": {}}}}}, 422),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_a_document_that_cannot_be_used_is_refused(api: AsyncClient, body: dict[str, Any], status: int) -> None:
    answer = await api.post("/event-type/import/openapi", content=orjson.dumps(body))

    assert answer.status_code == status, answer.text
    assert await names(api) == []
