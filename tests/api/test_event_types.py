"""Event types: their schemas, whom they are shown to, and what they ask of payloads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.api.services import Services
from tests.api.conftest import serving
from tests.support.factories import ORG
from tests.support.patience import patient

JSON = {"application/json": {"schema": {"type": "object"}}}
INVOICE = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
DOUBLING: dict[str, Any] = {str(n): {"allOf": [{"$ref": f"#/definitions/{n + 1}"}] * 2} for n in range(60)}
SLOW = {
    "definitions": DOUBLING | {"60": True},
    "anyOf": [{"properties": {"text": {"const": "quick"}}}, {"$ref": "#/definitions/0"}],
}


async def an_event_type(api: AsyncClient, name: str = "invoice.paid", **changed: Any) -> None:
    body = {"name": name, "description": "", "schemas": {"1": INVOICE}, "validatePayloads": True, **changed}
    (await api.post("/event-type", json=body)).raise_for_status()


async def send(api: AsyncClient, payload: Any, *, key: str | None = None) -> int:
    headers = {} if key is None else {"idempotency-key": key}
    answer = await api.post("/app/u/msg", json={"eventType": "invoice.paid", "payload": payload}, headers=headers)
    return answer.status_code


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"properties": {"a": {"minimum": "low"}}},
        {"$ref": "http://127.0.0.1/elsewhere.json"},
        {"pattern": "("},
        {"pattern": "(?i)a"},
        {"$schema": "https://example.com/a-draft-of-our-own"},
        {"$ref": "#/definitions/missing"},
        {"type": [part for number in range(4_000) for part in (number, str(number))]},
        [],
        "text",
    ],
    ids=str,
)
async def test_a_schema_is_one_and_refers_to_itself_only(api: AsyncClient, schema: Any) -> None:
    answer = await api.post("/event-type", json={"name": "a", "description": "", "schemas": {"1": schema}})

    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", "schemas"]


@pytest.mark.usefixtures("application")
async def test_a_payload_that_breaks_its_schema_is_refused_with_its_fault(api: AsyncClient) -> None:
    await an_event_type(api)

    kept = await send(api, {"id": 1})
    refused = await api.post("/app/u/msg", json={"eventType": "invoice.paid", "payload": {"id": "one"}})

    assert kept == 202
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "payload"]
    assert 'id: the value is not of type "integer"' in refused.json()["detail"][0]["msg"]
    assert "one" not in refused.text, "a payload is nobody else's business"


@pytest.mark.usefixtures("application")
async def test_a_changed_schema_holds_from_the_next_message_on(api: AsyncClient) -> None:
    await an_event_type(api)
    assert await send(api, {"id": 1}) == 202

    looser = {"1": INVOICE, "2": {"type": "object"}}
    await api.patch("/event-type/invoice.paid", json={"schemas": looser})
    assert await send(api, {}) == 202

    await api.patch("/event-type/invoice.paid", json={"schemas": {"1": INVOICE}})
    assert await send(api, {}) == 422

    await api.patch("/event-type/invoice.paid", json={"validatePayloads": False})
    assert await send(api, {}) == 202


@pytest.mark.usefixtures("application")
async def test_another_process_changing_the_schema_is_noticed(
    api: AsyncClient, app: FastAPI, services: Services
) -> None:
    await an_event_type(api)
    assert await send(api, {"id": 1}) == 202

    async with services.sessions() as session:
        work = services.unit_of_work(session)
        known = await work.event_types.get(ORG, "invoice.paid")
        assert known is not None
        stricter = '{"1": {"required": ["id", "amount"]}}'
        await work.event_types.replace(type(known)(**_fields(known) | {"schemas": stricter, "updated_at": _now()}))
        await work.commit()

    assert await send(api, {"id": 1}) == 422
    assert await send(api, {"id": 1, "amount": 2}) == 202


@pytest.mark.usefixtures("application")
async def test_the_same_key_is_the_same_message_when_payloads_are_checked(api: AsyncClient) -> None:
    await an_event_type(api)

    statuses = [await send(api, {"id": 1}, key="a-key") for _ in range(2)]
    listed = (await api.get("/app/u/msg")).json()["data"]

    assert statuses == [202, 202]
    assert len(listed) == 1


@pytest.mark.usefixtures("application")
@pytest.mark.timeout(60)
async def test_a_pattern_that_never_ends_costs_its_own_message_only(api: AsyncClient) -> None:
    await an_event_type(api, schemas={"1": SLOW})

    refused = await api.post(
        "/app/u/msg", json={"eventType": "invoice.paid", "payload": {"text": "slow"}}, timeout=patient(30)
    )

    assert refused.status_code == 422
    assert "too long" in refused.text
    assert await send(api, {"text": "quick"}) == 202


WRITTEN = b"""{"2": {"type":"object", "properties": {"z": {"const": 12345678901234567890123456789.10},
              "a":{"minimum":1e400}}},"1":{}}"""


@pytest.mark.usefixtures("application")
async def test_schemas_are_shown_with_every_digit_and_in_their_order(api: AsyncClient) -> None:
    body = b'{"name": "b", "description": "", "schemas": ' + WRITTEN + b"}"
    shown = b'"schemas":{"2":{"type":"object","properties":{"z":{"const":12345678901234567890123456789.10}'

    created = await api.post("/event-type", content=body)
    replaced = await api.put("/event-type/b", content=body)
    patched = await api.patch("/event-type/b", content=b'{"schemas": ' + WRITTEN + b"}")
    found = await api.get("/event-type/b")
    listed = await api.get("/event-type?with_content=true")
    exported = await api.post("/environment/export")
    imported = await api.post("/environment/import", content=exported.content)
    after = await api.get("/event-type/b")

    answers = (created, replaced, patched, found, listed, exported, after)
    assert [answer.status_code for answer in (*answers, imported)] == [201, 200, 200, 200, 200, 200, 200, 204]
    assert all(shown in answer.content for answer in answers)


@pytest.mark.usefixtures("application")
async def test_a_constant_of_many_digits_is_not_its_neighbour(api: AsyncClient) -> None:
    await an_event_type(api, schemas={"1": {"properties": {"n": {"const": 12345678901234567890123}}}})

    assert await send(api, {"n": 12345678901234567890123}) == 202
    assert await send(api, {"n": 12345678901234567890124}) == 422


@pytest.mark.parametrize("schemas", [None, {}])
async def test_payloads_are_validated_by_a_schema_or_not_at_all(api: AsyncClient, schemas: Any) -> None:
    body = {"name": "a", "description": "", "validatePayloads": True, "schemas": schemas}
    await an_event_type(api, "c")
    await api.post("/event-type", json=body | {"name": "d", "validatePayloads": False})

    answers = [
        await api.post("/event-type", json=body),
        await api.put("/event-type/b", json=body),
        await api.put("/event-type/c", json=body),
        await api.patch("/event-type/c", json={"schemas": schemas}),
        await api.patch("/event-type/d", json={"validatePayloads": True}),
        await api.post("/environment/import", json={"eventTypes": [body]}),
    ]

    assert [answer.status_code for answer in answers] == [422] * len(answers)
    assert all(answer.json()["detail"][0]["loc"] == ["body", "validatePayloads"] for answer in answers)
    assert (await api.patch("/event-type/c", json={"description": "changed"})).status_code == 200


@pytest.mark.usefixtures("application")
async def test_schemas_of_before_are_kept_as_they_were_kept_then(api: AsyncClient, postgres: Database) -> None:
    of_before = '{"1": {"$schema": "https://example.com/unknown", "properties": {"id": {"pattern": "(?i)^a$"}}}}'
    await an_event_type(api)
    await postgres.pool.execute("UPDATE event_type SET schemas = $1::jsonb, updated_at = now()", of_before)

    assert await send(api, {"id": "A"}) == 202
    assert await send(api, {"id": "b"}) == 422


@pytest.mark.usefixtures("application")
async def test_integers_that_were_taken_before_they_had_a_limit_go_on(api: AsyncClient, postgres: Database) -> None:
    # Release 0.1.0 took up to 4,300 digits.
    schemas = f'{{"1": {{"type": "object", "required": ["id"], "properties": {{"id": {{"maximum": {"9" * 4300}}}}}}}}}'
    endpoint = (await api.post("/app/u/endpoint", json={"url": "https://example.com/"})).json()["id"]
    await an_event_type(api)
    await postgres.pool.execute("UPDATE event_type SET schemas = $1::json, updated_at = now()", schemas)

    assert await send(api, {"id": 5}) == 202
    assert await send(api, {}) == 422
    example = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "invoice.paid"})
    described = {"webhooks": {"invoice.paid": {"post": {"requestBody": {"content": JSON}}}}}
    imported = await api.post("/event-type/import/openapi", json={"spec": described})

    assert example.status_code == 400
    assert "1,000 digits" in example.json()["detail"]
    assert imported.status_code == 200
    assert "9999" not in (await api.get("/event-type/invoice.paid")).text


async def test_an_application_sees_only_the_event_types_that_its_flags_open(app: FastAPI) -> None:
    async with serving(app) as api:
        await api.post("/app", json={"name": "a", "uid": "u"})
        for name, flags in {"open": None, "beta": ["beta"], "alpha": ["alpha"], "none": []}.items():
            await an_event_type(api, name, featureFlags=flags)
        granted = await api.post("/auth/app-portal-access/u", json={"featureFlags": ["beta"]})

    async with serving(app, token=granted.json()["token"]) as portal:
        listed = (await portal.get("/event-type")).json()["data"]
        hidden = await portal.get("/event-type/alpha")
        shown = await portal.get("/event-type/beta")

    assert [event_type["name"] for event_type in listed] == ["beta", "open"]
    assert (hidden.status_code, shown.status_code) == (404, 200)


def _now() -> datetime:
    return datetime.now(UTC)


def _fields(known: object) -> dict[str, Any]:
    return {name: getattr(known, name) for name in known.__dataclass_fields__}  # type: ignore[attr-defined] # it is one
