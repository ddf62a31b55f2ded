"""The catalogue: what is done in it by forms is there for the API, and no schema, however odd, breaks a page."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.application.access import Grant
from service.console.routes.event_types import MOST_VERSIONS
from service.console.schema_table import MAX_ROWS, table_of
from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS
from tests.console.conftest import Browser, browsing, token_of
from tests.support.factories import ORG

MARKUP = """<script>alert(1)</script><img src=x onerror=alert(1)>"'&{{ 7*7 }}"""
BIDI = "paid\u202e<b>"
INVOICE = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "description": "Its number."},
        "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}},
    },
    "definitions": {"line": {"type": "object", "properties": {"price": {"type": "number", "minimum": 19.990}}}},
}


@pytest.fixture
async def invoice(api: AsyncClient) -> str:
    """The name of an event type with a schema."""
    body = {"name": "invoice.paid", "description": "An invoice was paid.", "schemas": {"1": INVOICE}}
    (await api.post("/event-type", json=body)).raise_for_status()
    return "invoice.paid"


@pytest.fixture
async def customer(app: FastAPI, api: AsyncClient) -> AsyncIterator[Browser]:
    """A customer's browser."""
    app_id = (await api.post("/app", json={"name": "a customer"})).json()["id"]
    async with browsing(app) as browser:
        await browser.sign_in(customers_token(app_id, grant=Grant()))
        await browser.get(f"/app/{app_id}")
        yield browser


def customers_token(app_id: str, *, grant: Grant) -> str:
    """A token of one application."""
    return TOKENS.mint_for_application(ApplicationId(app_id), ORG, now=datetime.now(UTC), grant=grant)


async def test_an_event_type_is_created_and_changed_as_the_api_would(browser: Browser, api: AsyncClient) -> None:
    schemas = '{"1": {"type": "object", "properties": {"amount": {"minimum": 19.990, "maximum": 1e30}}}}'

    created = await browser.send(
        "/event-types/new",
        name="invoice.paid",
        description="An invoice\r\nwas paid.",
        groupName="invoices",
        featureFlags="beta, early",
        schemas=schemas,
        validatePayloads="yes",
    )
    first = (await api.get("/event-type/invoice.paid")).json()
    changed = await browser.send("/event-type/invoice.paid/edit", description="Paid.", schemas="", deprecated="yes")
    second = (await api.get("/event-type/invoice.paid")).json()

    assert (created.status_code, created.headers["location"]) == (303, "/console/event-type/invoice.paid?done=created")
    assert (first["description"], first["groupName"], first["validatePayloads"]) == (
        "An invoice\nwas paid.",
        "invoices",
        True,
    )
    assert first["featureFlags"] == ["beta", "early"]
    assert first["schemas"] == json.loads(schemas)
    assert changed.status_code == 303
    assert (second["description"], second["schemas"], second["deprecated"], second["groupName"]) == (
        "Paid.",
        None,
        True,
        None,
    )


async def test_what_was_created_is_audited_by_its_name(browser: Browser, api: AsyncClient) -> None:
    await browser.send("/event-types/new", name="a.b", description="")

    events = (await api.get("/audit")).json()["data"]

    assert [(event["action"], event["target"]) for event in events] == [("event_type.created", "a.b")]


async def test_the_form_has_the_schema_as_it_was_written(browser: Browser, api: AsyncClient) -> None:
    schema = '{"b": 1, "type": "object", "description": "\\u202e ü", "properties": {"a": {"minimum": 19.990}}}'
    await browser.send("/event-types/new", name="a.b", description="", schemas=f'{{"1": {schema}}}')
    before = (await api.get("/event-type/a.b")).text

    form = await browser.get("/event-type/a.b/edit")
    typed = unescape(form.text.partition('name="schemas"')[2].partition(">")[2].partition("</textarea>")[0])
    await browser.send("/event-type/a.b/edit", description="", schemas=typed)
    after = (await api.get("/event-type/a.b")).text

    assert "19.990" in typed
    assert "\\u202e" in typed
    assert "ü" in typed
    assert (
        after.partition('"schemas"')[2].partition('"groupName"')[0]
        == (before.partition('"schemas"')[2].partition('"groupName"')[0])
    )


@pytest.mark.parametrize(
    ("schemas", "sentence"),
    [
        ("{", "This is not JSON"),
        ("[1]", "This is an object with a schema for each version"),
        ('{"1": {"type": "objekt"}}', "Version 1: This is not a JSON Schema"),
        ('{"1": {"$ref": "https://elsewhere.example/"}}', "A schema may refer to its own parts only"),
        ('{"1": 7}', "Version 1: A schema is an object."),
        (json.dumps({"1": {"description": "x" * 140_000}}), "at most 131072 bytes"),
        ("[" * 100_000, "This is not JSON"),
        (" " * 600_000 + "{}", "at most 131072 bytes"),
    ],
)
async def test_a_refused_schema_comes_back_as_it_was_typed_with_the_reason_at_its_field(
    browser: Browser, api: AsyncClient, schemas: str, sentence: str
) -> None:
    answer = await browser.send("/event-types/new", name="a.b", description="kept", schemas=schemas)

    hint = answer.text.partition('id="schemas-hint"')[2].partition("</span>")[0]
    assert answer.status_code == 422
    assert sentence in hint
    assert unescape(answer.text).count(schemas) >= 1
    assert (await api.get("/event-type/a.b")).status_code == 404


async def test_every_field_says_what_is_wrong_with_it(browser: Browser, invoice: str) -> None:
    wrong = await browser.send(
        "/event-types/new",
        name="with blanks",
        description="",
        groupName="ü",
        featureFlags="a/b",
        validatePayloads="yes",
    )
    empty = await browser.send("/event-types/new", name="a.b", description="", validatePayloads="yes")
    taken = await browser.send("/event-types/new", name=invoice, description="")

    assert [wrong.status_code, empty.status_code, taken.status_code] == [422, 422, 409]
    for name in ("name", "groupName", "featureFlags"):
        assert '<strong class="problem">' in wrong.text.partition(f'id="{name}-hint"')[2].partition("</span>")[0]
    assert "There is no schema to validate" in empty.text.partition('id="validatePayloads-hint"')[2]
    assert "already exists" in taken.text


async def test_an_event_type_is_archived_brought_back_and_deleted_by_its_typed_name(
    browser: Browser, api: AsyncClient, invoice: str
) -> None:
    path = f"/event-type/{invoice}"

    await browser.send(f"{path}/archive")
    archived = (await api.get(path)).json()["archived"]
    hidden, shown = await browser.get("/event-types"), await browser.get("/event-types?include_archived=true")
    await browser.send(f"{path}/unarchive")
    back = (await api.get(path)).json()["archived"]
    wrong = await browser.send(f"{path}/delete", name="invoice")
    right = await browser.send(f"{path}/delete", name=invoice)

    assert (archived, back) == (True, False)
    assert (f'href="/console{path}"' in hidden.text, f'href="/console{path}"' in shown.text) == (False, True)
    assert (wrong.status_code, right.status_code) == (422, 303)
    assert "not the event type" in wrong.text.replace("&#39;", "'")
    assert (await api.get(path)).status_code == 404


async def test_the_catalogue_is_listed_by_name_page_by_page(browser: Browser, api: AsyncClient) -> None:
    for name in ("c", "a", "b"):
        (await api.post("/event-type", json={"name": name, "description": ""})).raise_for_status()

    first = await browser.get("/event-types?limit=2")
    onwards = first.text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = await browser.get(onwards.removeprefix("/console"))

    assert [f"/event-type/{name}" in first.text for name in "abc"] == [True, True, False]
    assert [f"/event-type/{name}" in second.text for name in "abc"] == [False, False, True]


async def test_an_empty_catalogue_says_what_an_event_type_is(browser: Browser, customer: Browser) -> None:
    operators, customers = await browser.get("/event-types"), await customer.get("/event-types")

    assert "Make one here" in operators.text
    assert "Make one here" not in customers.text


async def test_a_schema_is_a_table_with_its_example(browser: Browser, invoice: str) -> None:
    shown = await browser.get(f"/event-type/{invoice}")

    assert "<code>lines[].price</code></td><td>number</td><td>no</td>" in shown.text
    assert "<code>id</code></td><td>string</td><td>yes</td><td>Its number.</td>" in shown.text
    assert '"id": "string"' in unescape(shown.text.partition('id="example"')[2])


async def test_versions_are_shown_newest_first_and_not_without_end(browser: Browser, api: AsyncClient) -> None:
    schemas: dict[str, Any] = {str(number): {"properties": {f"of-{number}": {}}} for number in range(1, 300)}
    (await api.post("/event-type", json={"name": "a.b", "description": "", "schemas": schemas})).raise_for_status()

    shown = await browser.get("/event-type/a.b")

    assert shown.text.index("Version 299, the newest") < shown.text.index("Version 298")
    assert shown.text.count("<section aria-label") == MOST_VERSIONS
    assert f"{299 - MOST_VERSIONS} older versions are not shown" in shown.text


ODD: dict[str, Any] = {
    "anything": True,
    "nothing": False,
    "a number": {"type": "integer"},
    "a list of anything": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
    "itself": {"$ref": "#"},
    "a circle": {
        "$ref": "#/definitions/a",
        "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
    },
    "a tree": {"properties": {"left": {"$ref": "#"}, "right": {"items": {"$ref": "#"}}}},
    "forms": {"oneOf": [{"properties": {"a": {"type": ["string", "null"]}}}, {"anyOf": [True, {"required": ["b"]}]}]},
    "conditions": {"if": {"required": ["a"]}, "then": {"properties": {"c": {"const": {"d": 1}}}}, "else": False},
    "tuples": {"properties": {"pair": {"items": [{"type": "string"}, True], "additionalItems": False}}},
    "names by pattern": {
        "patternProperties": {"^x-<b>": {"enum": [1, "<b>", None, [], {}]}},
        "additionalProperties": {},
    },
    "wide": {"properties": {f"p{number}": {"type": "string"} for number in range(3000)}},
    "wide in need": {"required": [f"p{number}" for number in range(9000)]},
    "wide in forms": {"anyOf": [{"anyOf": [{"required": [f"p{n}{m}"]} for n in range(30)]} for m in range(30)]},
    "hostile names": {"properties": {MARKUP: {"description": MARKUP, "title": BIDI, "format": BIDI, "type": "string"}}},
    "long names": {"properties": {"x" * 20_000: {"description": "y" * 20_000, "enum": ["z" * 20_000]}}},
    "a big number": {"properties": {"a": {"const": 10**300, "multipleOf": 0.01}}},
}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for level in range(levels):
        schema = {"properties": {f"l{level}": schema}} if level % 2 else {"items": schema, "properties": {"i": schema}}
    return schema


def braid(strands: int) -> dict[str, Any]:
    """Every member consists of all members again, in all orders."""
    names = [f"s{number}" for number in range(strands)]
    every = {name: {"allOf": [{"$ref": f"#/definitions/{other}"} for other in names]} for name in names}
    return {"definitions": every, "properties": every, "anyOf": [{"$ref": f"#/definitions/{name}"} for name in names]}


@pytest.mark.parametrize("odd", [*ODD, "deep", "braided"])
async def test_no_legal_schema_breaks_the_page_or_costs_much(browser: Browser, api: AsyncClient, odd: str) -> None:
    schema = {"deep": deep(16), "braided": braid(5)}.get(odd) or ODD[odd]
    body = {"name": "a.b", "description": MARKUP + BIDI, "schemas": {"1": schema, MARKUP: {"title": BIDI}}}
    (await api.post("/event-type", json=body)).raise_for_status()

    began = time.process_time()
    shown = await browser.get("/event-type/a.b")
    seconds = time.process_time() - began

    assert shown.status_code == 200
    assert seconds < 1
    assert len(shown.content) < 3_000_000
    for mark in ("<script>alert", "<img src=x", BIDI):
        assert mark not in shown.text
    assert "{{ 7*7 }}" in shown.text
    assert "[U+202E RIGHT-TO-LEFT OVERRIDE]" in shown.text


@pytest.mark.parametrize(
    ("schema", "rows"),
    [
        ({"properties": {"a": {"type": "string", "format": "date"}}}, [("a", "string (date)", False)]),
        ({"required": ["a"], "properties": {"a": {}}}, [("a", "any", True)]),
        ({"required": ["b"]}, [("b", "any", True)]),
        ({"properties": {"a": {"type": ["string", "null"]}}}, [("a", "string or null", False)]),
        ({"properties": {"a": {"enum": ["x", 1]}}}, [("a", 'one of "x", 1', False)]),
        ({"properties": {"a": {"const": 1}}}, [("a", "always 1", False)]),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, [("a", "string or null", False)]),
        (
            {"properties": {"a": {"type": "array", "items": {"properties": {"b": {"type": "integer"}}}}}},
            [("a", "array of object", False), ("a[].b", "integer", False)],
        ),
        (
            {"allOf": [{"required": ["a"]}, {"properties": {"a": {"properties": {"b": True}}}}]},
            [("a", "object", True), ("a.b", "any", False)],
        ),
        (
            {"$ref": "#/definitions/x", "definitions": {"x": {"properties": {"a": {"$ref": "#/definitions/x"}}}}},
            [("a", "object", False)],
        ),
        ({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}]}, [("a", "any", False)]),
        ({"additionalProperties": {"type": "string"}}, [("*", "string", False)]),
        ({"$ref": "#anchor", "properties": {"a": {}}}, [("a", "any", False)]),
    ],
)
def test_a_table_names_members_types_and_what_is_required(schema: object, rows: list[tuple[str, str, bool]]) -> None:
    table = table_of(schema)

    assert table is not None
    assert [(row.name, row.type, row.required) for row in table.rows] == rows
    assert table.complete


@pytest.mark.parametrize(
    "schema", [True, {}, {"type": "string"}, {"type": "array", "items": {"properties": {"a": {}}}}]
)
def test_a_schema_without_members_of_an_object_has_no_table(schema: object) -> None:
    assert table_of(schema) is None


@pytest.mark.parametrize("schema", [braid(40), deep(200), {"allOf": [ODD["wide in need"]] * 300}])
def test_a_table_costs_little_even_where_the_api_refuses_the_schema(schema: dict[str, Any]) -> None:
    began = time.process_time()
    table = table_of(schema)
    seconds = time.process_time() - began

    assert table is not None
    assert not table.complete
    assert seconds < 1


def test_a_table_that_leaves_something_out_says_so() -> None:
    wide, nested = table_of(ODD["wide"]), table_of(deep(40))

    assert wide is not None
    assert nested is not None
    assert (len(wide.rows), wide.complete, nested.complete) == (MAX_ROWS, False, False)


def document(**webhooks: Any) -> str:
    return json.dumps({"openapi": "3.1.0", "webhooks": webhooks})


def webhook(description: str, **properties: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", "properties": properties}}}
    return {"post": {"description": description, "requestBody": {"content": content}}}


async def test_an_import_is_shown_as_a_difference_first_and_then_done(browser: Browser, api: AsyncClient) -> None:
    for name in ("same", "other", "lacking"):
        schemas = {"1": webhook("", a={})["post"]["requestBody"]["content"]["application/json"]["schema"]}
        body = {"name": name, "description": "before", "schemas": schemas}
        (await api.post("/event-type", json=body)).raise_for_status()
    spec = document(same=webhook("before", a={}), other=webhook("after", b={"type": "string"}), fresh=webhook("new"))

    dry = await browser.send("/event-types/import", spec=spec, replaceAll="yes")
    audited_then = [event["action"] for event in (await api.get("/audit")).json()["data"]]
    names_then = {one["name"] for one in (await api.get("/event-type")).json()["data"]}
    seen = dry.text.partition('name="seen" value="')[2].partition('"')[0]
    done = await browser.send("/event-types/import", spec=spec, replaceAll="yes", seen=seen)
    after = {one["name"]: one for one in (await api.get("/event-type?with_content=true")).json()["data"]}

    assert dry.status_code == 200
    assert [f'aria-label="{one}"' in dry.text for one in ("fresh, new", "other, changed", "lacking, archived")] == [
        True
    ] * 3
    assert '<td class="written">before</td><td class="written">after</td>' in dry.text
    assert "&#34;type&#34;: &#34;string&#34;" in dry.text
    assert "event_types.imported" not in audited_then
    assert (await api.get("/audit?limit=1")).json()["data"][0]["action"] == "event_types.imported"
    assert names_then == {"same", "other", "lacking"}
    assert (done.status_code, done.headers["location"]) == (303, "/console/event-types?done=imported")
    assert after.keys() == {"same", "other", "fresh"}
    assert after["other"]["description"] == "after"


async def test_a_document_that_was_changed_after_its_difference_is_shown_again(
    browser: Browser, api: AsyncClient
) -> None:
    dry = await browser.send("/event-types/import", spec=document(a=webhook("")))
    seen = dry.text.partition('name="seen" value="')[2].partition('"')[0]

    again = await browser.send("/event-types/import", spec=document(b=webhook("")), seen=seen)

    assert again.status_code == 200
    assert 'aria-label="b, new"' in again.text
    assert (await api.get("/event-type")).json()["data"] == []


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "Give an OpenAPI document"),
        ("{", "neither JSON nor YAML"),
        ("webhooks: [1]", "`webhooks` has to be an object"),
        (document(**{"with blanks": webhook("")}), "cannot be used"),
        (document(a={"post": {"requestBody": {"$ref": "#/a"}}}), "There is nothing at #/a"),
        ("a: &x [1]\nb: *x", "YAML aliases are not allowed"),
    ],
)
async def test_a_document_that_cannot_be_used_comes_back_with_the_reason(
    browser: Browser, spec: str, sentence: str
) -> None:
    answer = await browser.send("/event-types/import", spec=spec)

    assert answer.status_code == 422
    assert sentence in unescape(answer.text.partition('id="spec-hint"')[2].partition("</span>")[0])
    assert spec in unescape(answer.text)


async def test_what_a_document_says_stays_text_in_its_difference(browser: Browser) -> None:
    spec = document(a=webhook(MARKUP + BIDI, **{MARKUP: {"description": BIDI}}))

    dry = await browser.send("/event-types/import", spec=spec)

    assert dry.status_code == 200
    assert "<script>alert" not in dry.text
    assert "<img src=x" not in dry.text
    assert "[U+202E RIGHT-TO-LEFT OVERRIDE]" in dry.text


async def test_customers_see_the_catalogue_and_change_nothing(
    browser: Browser, api: AsyncClient, customer: Browser, invoice: str
) -> None:
    flagged = {"name": "secret", "description": "", "featureFlags": ["beta"]}
    (await api.post("/event-type", json=flagged)).raise_for_status()
    paths = ["/event-types/new", "/event-types/import", f"/event-type/{invoice}/edit", f"/event-type/{invoice}/delete"]

    page = await customer.get(f"/event-type/{invoice}")
    opened = [(await customer.get(path)).status_code for path in paths]
    sent = [
        (await customer.send(path, name=invoice, description="changed")).status_code
        for path in [*paths, f"/event-type/{invoice}/archive", f"/event-type/{invoice}/unarchive"]
    ]

    assert page.status_code == 200
    assert [word in page.text for word in ("Edit", "Archive", "Delete")] == [False] * 3
    assert set(opened + sent) == {403}
    assert (await api.get(f"/event-type/{invoice}")).json()["description"] == "An invoice was paid."
    assert (await browser.get(f"/event-type/{invoice}")).text.count("Archive") >= 1


async def test_customers_see_only_what_their_feature_flags_open(app: FastAPI, api: AsyncClient) -> None:
    app_id = (await api.post("/app", json={"name": "n"})).json()["id"]
    for name in ("beta", "gamma"):
        body = {"name": f"of.{name}", "description": "", "featureFlags": [name]}
        (await api.post("/event-type", json=body)).raise_for_status()

    async with browsing(app) as customer:
        await customer.sign_in(customers_token(app_id, grant=Grant(feature_flags=frozenset({"beta"}))))
        listed = await customer.get("/event-types")
        statuses = [(await customer.get(f"/event-type/of.{name}")).status_code for name in ("beta", "gamma")]

    assert ("of.beta" in listed.text, "of.gamma" in listed.text) == (True, False)
    assert statuses == [200, 404]


async def test_a_reader_opens_no_form(stranger: Browser, api: AsyncClient, invoice: str) -> None:
    await stranger.sign_in(token_of("reader"))

    page = await stranger.get(f"/event-type/{invoice}")
    form = await stranger.get(f"/event-type/{invoice}/edit")
    sent = await stranger.send(f"/event-type/{invoice}/edit", description="changed")

    assert (page.status_code, form.status_code, sent.status_code) == (200, 403, 403)
    assert "Edit" not in page.text
    assert (await api.get(f"/event-type/{invoice}")).json()["description"] == "An invoice was paid."
