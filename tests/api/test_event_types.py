"""Event types: their schemas, whom they are shown to, and what they ask of payloads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.api.services import Services
from tests.api.conftest import serving
from tests.support.factories import ORG
from tests.support.patience import patient

INVOICE = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
SLOW = {"type": "object", "properties": {"text": {"pattern": "^(a+)+$"}}}


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
        [],
        "text",
    ],
    ids=str,
)
async def test_a_schema_is_draft_7_and_refers_to_itself_only(api: AsyncClient, schema: Any) -> None:
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
    assert "id: breaks `type`" in refused.json()["detail"][0]["msg"]
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
        stricter = {"1": {"required": ["id", "amount"]}}
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
        "/app/u/msg", json={"eventType": "invoice.paid", "payload": {"text": "a" * 40 + "!"}}, timeout=patient(30)
    )

    assert refused.status_code == 422
    assert "too long" in refused.text
    assert await send(api, {"text": "aaa"}) == 202


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
