"""Applications: what is said of them, what is changed, and what an answer leaves out."""

from typing import Any

import pytest
from httpx import AsyncClient

NEW: dict[str, Any] = {"name": "a", "uid": "a", "throttleRate": 5, "metadata": {"k": "v"}}


async def test_what_was_not_given_is_left_out_of_the_answer(api: AsyncClient) -> None:
    answer = (await api.post("/app", json={"name": "a"})).json()

    assert {"uid", "rateLimit"} & answer.keys() == set()
    assert (answer["throttleRate"], answer["metadata"]) == (None, {})


@pytest.mark.parametrize(
    ("field", "cleared"), [("uid", None), ("throttleRate", None), ("rateLimit", None), ("metadata", {})]
)
async def test_an_explicit_null_clears_what_is_optional(api: AsyncClient, field: str, cleared: object) -> None:
    created = (await api.post("/app", json=NEW)).json()

    patched = (await api.patch(f"/app/{created['id']}", json={field: None})).json()

    assert patched.get(field, cleared) == cleared
    untouched = created.keys() - {field, "updatedAt", "throttleRate", "rateLimit"}
    assert {name: patched[name] for name in untouched} == {name: created[name] for name in untouched}


async def test_what_is_required_cannot_be_null(api: AsyncClient) -> None:
    await api.post("/app", json=NEW)

    answers = [await api.patch("/app/a", json={"name": None}), await api.put("/app/a", json={"name": None})]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert (await api.get("/app/a")).json()["name"] == "a"


async def test_replacing_clears_what_is_null_and_what_is_not_said(api: AsyncClient) -> None:
    created = (await api.post("/app", json=NEW)).json()

    said = {"name": "b", "uid": None, "rateLimit": None, "throttleRate": None, "metadata": None}
    with_nulls = (await api.put(f"/app/{created['id']}", json=said)).json()
    await api.patch(f"/app/{created['id']}", json=NEW)
    with_nothing = (await api.put(f"/app/{created['id']}", json={"name": "b"})).json()

    times = {"updatedAt": "", "createdAt": ""}
    assert with_nulls | times == with_nothing | times
    assert with_nothing | times == {"id": created["id"], "name": "b", "throttleRate": None, "metadata": {}} | times


async def test_of_both_spellings_of_a_rate_the_newer_one_counts(api: AsyncClient) -> None:
    answer = (await api.post("/app", json={"name": "a", "rateLimit": 3, "throttleRate": 7})).json()

    assert (answer["rateLimit"], answer["throttleRate"]) == (7, 7)


async def test_the_uid_of_a_deleted_application_is_free_again(api: AsyncClient) -> None:
    first = (await api.post("/app", json=NEW)).json()["id"]
    taken = await api.post("/app", json=NEW)
    await api.delete("/app/a")

    second = await api.post("/app", json=NEW)

    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    assert second.status_code == 201
    assert second.json()["id"] != first


async def test_a_list_leaves_out_applications_by_their_endpoints(api: AsyncClient) -> None:
    endpoints: dict[str, list[bool | None]] = {
        "none": [],
        "deleted": [None],
        "off": [True, True],
        "some": [True, False],
        "on": [False],
    }
    for uid, several in endpoints.items():
        await api.post("/app", json={"name": uid, "uid": uid})
        for disabled in several:
            body = {"url": "http://127.0.0.1:9/", "disabled": disabled}
            made = (await api.post(f"/app/{uid}/endpoint", json=body)).json()
            if disabled is None:
                await api.delete(f"/app/{uid}/endpoint/{made['id']}")
    without, off = "exclude_apps_with_no_endpoints", "exclude_apps_with_disabled_endpoints"

    async def listed(**query: bool) -> list[str]:
        return [found["uid"] for found in (await api.get("/app", params=query)).json()["data"]]

    assert await listed() == list(endpoints)
    assert await listed(**{without: False, off: False}) == list(endpoints)
    assert await listed(**{without: True}) == ["off", "some", "on"]
    assert await listed(**{off: True}) == ["none", "deleted", "some", "on"]
    assert await listed(**{without: True, off: True}) == ["some", "on"]
