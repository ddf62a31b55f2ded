"""Lists lead on and back: `iterator`, `prevIterator` and `done` are right on every one."""

from typing import Any

import pytest
from httpx import AsyncClient

BODIES: dict[str, dict[str, Any]] = {
    "/app": {"name": "a"},
    "/app/u/endpoint": {"url": "http://127.0.0.1/"},
    "/app/u/msg": {"eventType": "a.b", "payload": {}},
    "/event-type": {"description": ""},
}
NEWEST_FIRST = {"/app/u/endpoint", "/app/u/msg"}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", BODIES)
async def test_a_list_is_walked_to_its_end_and_back(api: AsyncClient, path: str) -> None:
    before = (await api.get(path)).json()["data"]
    for number in range(6 - len(before)):
        (await api.post(path, json=BODIES[path] | {"name": f"n{number}"})).raise_for_status()
    key = "name" if path == "/event-type" else "id"
    whole = [item[key] for item in (await api.get(path)).json()["data"]]

    first = await _page(api, path, key, limit=3)
    second = await _page(api, path, key, limit=2, iterator=first["iterator"])
    third = await _page(api, path, key, limit=2, iterator=second["iterator"])
    back = await _page(api, path, key, limit=3, iterator=third["prevIterator"])
    start = await _page(api, path, key, limit=3, iterator=back["prevIterator"])

    assert whole == sorted(whole, reverse=path in NEWEST_FIRST)
    assert (first["keys"], first["done"]) == (whole[:3], False)
    assert (second["keys"], second["done"]) == (whole[3:5], False)
    assert (third["keys"], third["done"]) == (whole[5:], True)
    assert (back["keys"], back["done"]) == (whole[2:5], False)
    assert (start["keys"], start["done"]) == (whole[:2], True)
    assert third["iterator"] == whole[-1]
    assert start["prevIterator"] == f"-{whole[0]}"


async def test_names_that_begin_like_an_iterator_that_leads_back_are_walked_all_the_same(api: AsyncClient) -> None:
    names = ["--c", "-a", "-b", "z"]
    for name in names:
        await api.post("/event-type", json={"name": name, "description": ""})

    first = await _page(api, "/event-type", "name", limit=2)
    second = await _page(api, "/event-type", "name", limit=2, iterator=first["iterator"])
    back = await _page(api, "/event-type", "name", limit=2, iterator=second["prevIterator"])
    to_the_first = await _page(api, "/event-type", "name", limit=1, iterator="--a")

    assert (first["keys"], second["keys"], back["keys"]) == (names[:2], names[2:], names[:2])
    assert to_the_first["keys"] == names[:1]


@pytest.mark.parametrize("path", BODIES)
async def test_an_empty_list_says_so(application: str, api: AsyncClient, path: str) -> None:
    await api.delete(f"/app/{application}")
    await api.post("/app", json={"name": "a", "uid": "u"}) if path != "/app" else None

    answer = await api.get(path)

    assert answer.json() == {"data": [], "iterator": None, "prevIterator": None, "done": True}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app", "/app/u/endpoint"])
async def test_the_order_may_be_chosen(api: AsyncClient, path: str) -> None:
    for _ in range(3):
        await api.post(path, json=BODIES[path])

    ascending = [item["id"] for item in (await api.get(f"{path}?order=ascending")).json()["data"]]
    descending = [item["id"] for item in (await api.get(f"{path}?order=descending")).json()["data"]]

    assert ascending == sorted(ascending)
    assert descending == ascending[::-1]


async def _page(api: AsyncClient, path: str, key: str, **query: Any) -> dict[str, Any]:
    page: dict[str, Any] = (await api.get(path, params=query)).json()
    return page | {"keys": [item[key] for item in page["data"]]}
