"""Messages: taken, kept byte for byte, found again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

PAYLOAD = b'{"b" :1.10,\n "a":[ 1e3, "\\u00fc \xc3\xbc", {} ],"a": null }'


def _body(payload: bytes, name: bytes = b"payload") -> bytes:
    return b'{"eventType": "a.b", "' + name + b'" : ' + payload + b" }"


@pytest.mark.parametrize("name", [b"payload", b"data"])
async def test_a_payload_comes_back_as_it_was_written(application: str, api: AsyncClient, name: bytes) -> None:
    sent = await api.post(f"/app/{application}/msg", content=_body(PAYLOAD, name))
    found = await api.get(f"/app/{application}/msg/{sent.json()['id']}")
    listed = await api.get(f"/app/{application}/msg")

    assert sent.status_code == 202
    assert all(PAYLOAD in answer.content for answer in (sent, found, listed))
    assert sent.json() == found.json() == listed.json()["data"][0]


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e400", "0." + "1" * 400, "1E+5", "-0", "9" * 5_000])
async def test_a_number_of_any_size_comes_back_as_it_was_written(
    application: str, api: AsyncClient, number: str
) -> None:
    payload = f'{{"n": {number}}}'.encode()

    sent = await api.post(f"/app/{application}/msg", content=_body(payload))
    imported = await api.post(f"/app/{application}/msg/import", content=_body(payload))
    listed = await api.get(f"/app/{application}/msg")

    assert (sent.status_code, imported.json()["accepted"]) == (202, 1)
    assert (sent.content.count(payload), listed.content.count(payload)) == (1, 2)


@pytest.mark.parametrize("event_id", ["export", "import", "precheck"])
async def test_a_message_is_found_by_an_event_id_that_is_also_a_path(
    application: str, api: AsyncClient, event_id: str
) -> None:
    sent = await api.post(f"/app/{application}/msg", json={"eventType": "a.b", "payload": {}, "eventId": event_id})

    found = await api.get(f"/app/{application}/msg/{event_id}", headers={"accept": "application/json"})
    exported = await api.get(f"/app/{application}/msg/export")

    assert found.json() == sent.json()
    assert exported.headers["content-type"] == "application/x-ndjson"


async def test_a_payload_that_nobody_wants_is_left_out(application: str, api: AsyncClient) -> None:
    sent = await api.post(f"/app/{application}/msg?with_content=false", content=_body(PAYLOAD))
    found = await api.get(f"/app/{application}/msg/{sent.json()['id']}?with_content=false")
    listed = await api.get(f"/app/{application}/msg?with_content=false")

    assert sent.json()["payload"] == found.json()["payload"] == listed.json()["data"][0]["payload"] == {}


async def test_a_raw_payload_takes_the_place_of_the_payload(application: str, api: AsyncClient) -> None:
    body = {"eventType": "a.b", "payload": {}, "transformationsParams": {"rawPayload": "<xml/>"}}

    sent = await api.post(f"/app/{application}/msg", json=body)
    found = await api.get(f"/app/{application}/msg/{sent.json()['id']}")

    assert sent.status_code == 202
    assert found.json()["payload"] == {}


@pytest.mark.parametrize("raw", ['{ "a" : 1.0 }', "<a/>", "", "[1]", "null", '{"a": ', "\u00e9", '"text"'])
async def test_a_raw_payload_is_echoed_as_it_is_shown_later(application: str, api: AsyncClient, raw: str) -> None:
    body = {"eventType": "a.b", "payload": {"not": "sent"}, "transformationsParams": {"rawPayload": raw}}

    echoed = await api.post(f"/app/{application}/msg", json=body)
    shown = await api.get(f"/app/{application}/msg/{echoed.json()['id']}")

    assert echoed.content == shown.content
    assert b"not" not in echoed.content


async def test_an_event_id_names_one_message(application: str, api: AsyncClient) -> None:
    body = {"eventType": "a.b", "payload": {}, "eventId": "one"}
    sent = await api.post(f"/app/{application}/msg", json=body)

    again = await api.post(f"/app/{application}/msg", json=body)

    assert again.status_code == 409
    assert (await api.get(f"/app/{application}/msg/one")).json()["id"] == sent.json()["id"]


async def test_an_unknown_application_comes_with_its_first_message(api: AsyncClient) -> None:
    body = {"eventType": "a.b", "payload": {}, "application": {"name": "new", "uid": "new"}}

    answers = [await api.post("/app/new/msg", json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert (await api.get("/app/new")).json()["name"] == "new"


@pytest.mark.parametrize(
    ("application", "kind"),
    [({"name": "a"}, "application_uid_missing"), ({"name": "a", "uid": "b"}, "application_uid_mismatch")],
)
async def test_an_application_that_comes_along_is_the_one_of_the_path(
    api: AsyncClient, application: dict[str, str], kind: str
) -> None:
    answer = await api.post("/app/a/msg", json={"eventType": "a.b", "payload": {}, "application": application})

    assert answer.status_code == 422
    assert answer.json()["detail"] == [
        {"loc": ["body", "application", "uid"], "msg": answer.json()["detail"][0]["msg"], "type": kind}
    ]


async def test_a_message_to_nobody_is_not_found(api: AsyncClient) -> None:
    answer = await api.post("/app/none/msg", json={"eventType": "a.b", "payload": {}})

    assert answer.status_code == 404


async def test_a_message_may_be_delivered_later(application: str, api: AsyncClient) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    answer = await api.post(f"/app/{application}/msg", json={"eventType": "a.b", "payload": {}, "deliverAt": later})

    assert answer.status_code == 202
    assert datetime.fromisoformat(answer.json()["deliverAt"]) == datetime.fromisoformat(later)


async def test_lists_keep_what_is_asked_for(application: str, api: AsyncClient) -> None:
    bodies: list[dict[str, Any]] = [
        {"eventType": "a", "channels": ["x", "y"], "tags": ["t"]},
        {"eventType": "b", "channels": ["x"]},
        {"eventType": "c"},
    ]
    ids = [(await api.post(f"/app/{application}/msg", json=body | {"payload": {}})).json()["id"] for body in bodies]

    async def found(query: str) -> list[int]:
        data = (await api.get(f"/app/{application}/msg?{query}")).json()["data"]
        return [ids.index(message["id"]) for message in data]

    assert await found("") == [2, 1, 0]
    assert await found("channel=x") == [1, 0]
    assert await found("tag=t") == [0]
    assert await found("event_types=a,c") == [2, 0]
    assert await found("after=2020-01-01T00:00:00Z&before=2100-01-01T00:00:00Z") == [2, 1, 0]
    assert await found("before=2020-01-01T00:00:00Z") == []
    assert await found("after=2100-01-01T00:00:00Z") == []


async def test_who_follows_the_news_reads_on_from_a_time_and_misses_none(application: str, api: AsyncClient) -> None:
    path = f"/app/{application}/msg"
    sent = [(await api.post(path, json={"eventType": "a", "payload": {}})).json() for _ in range(5)]
    ids = [message["id"] for message in sent]

    since = {"after": sent[1]["timestamp"], "limit": 2}
    first = (await api.get(path, params=since)).json()
    second = (await api.get(path, params=since | {"iterator": first["prevIterator"]})).json()
    bounded = (await api.get(path, params=since | {"before": sent[4]["timestamp"]})).json()

    assert ([message["id"] for message in first["data"]], first["done"]) == ([ids[2], ids[1]], False)
    assert ([message["id"] for message in second["data"]], second["done"]) == ([ids[4], ids[3]], True)
    assert ([message["id"] for message in bounded["data"]], bounded["done"]) == ([ids[3], ids[2]], False)
