"""SDKs of the first line (1.x) read some answers otherwise than those of the second; both are served."""

from typing import Any

import pytest
from httpx import AsyncClient

FIRST = [
    "svix-libs/1.99.1/java",
    "svix-libs/1.99.1/kotlin",
    "svix-libs/1.45.0/python",
    "svix-libs/1.0.0/javascript",
    "svix-libs/0.84.1/go",
    "okhttp/4.12.0 svix-libs/1.70.0/java",
]
SECOND = ["svix-libs/2.9.1/python", "svix-libs/10.0.0/java", "svix-libs/21.0/java", "curl/8.5.0", "", "svix-libs/"]


@pytest.fixture
async def endpoint(api: AsyncClient, application: str) -> str:
    await api.post(f"/app/{application}/endpoint", json={"url": "http://127.0.0.1:9/", "uid": "e"})
    return f"/app/{application}/endpoint/e"


@pytest.mark.parametrize("agent", FIRST)
async def test_the_first_line_gets_no_body_for_a_new_secret(api: AsyncClient, endpoint: str, agent: str) -> None:
    before = await _key(api, endpoint)

    answer = await api.post(f"{endpoint}/secret/rotate", json={}, headers={"user-agent": agent})

    assert (answer.status_code, answer.content) == (204, b"")
    assert await _key(api, endpoint) != before


@pytest.mark.parametrize("agent", SECOND)
async def test_everybody_else_gets_the_new_secret(api: AsyncClient, endpoint: str, agent: str) -> None:
    answer = await api.post(f"{endpoint}/secret/rotate", json={}, headers={"user-agent": agent})

    assert (answer.status_code, answer.json()) == (200, {"key": await _key(api, endpoint)})


async def test_each_gets_its_form_of_a_repeated_answer(api: AsyncClient, endpoint: str) -> None:
    answers = [
        await api.post(
            f"{endpoint}/secret/rotate", json={}, headers={"user-agent": agent, "idempotency-key": "the same"}
        )
        for agent in (FIRST[0], SECOND[0], FIRST[0])
    ]

    assert [answer.status_code for answer in answers] == [204, 200, 204]
    assert answers[1].json() == {"key": await _key(api, endpoint)}


@pytest.mark.parametrize("agent", FIRST[:1])
async def test_a_refusal_is_told_to_the_first_line_as_to_everybody(api: AsyncClient, endpoint: str, agent: str) -> None:
    answer = await api.post(f"{endpoint}/secret/rotate", json={"key": "none"}, headers={"user-agent": agent})

    assert answer.status_code == 422


async def test_access_as_the_first_line_asks_for_it_works_for_its_application_alone(
    api: AsyncClient, endpoint: str
) -> None:
    granted = (await api.post("/auth/dashboard-access/u")).json()
    bearer = {"authorization": f"Bearer {granted['token']}"}

    assert granted["url"] == f"http://relevo.test/console/portal#token={granted['token']}"
    assert (await api.get(endpoint, headers=bearer)).status_code == 200
    assert (await api.get("/app", headers=bearer)).status_code == 403
    assert (await api.post("/auth/dashboard-access/none")).status_code == 404


async def _key(api: AsyncClient, endpoint: str) -> Any:
    return (await api.get(f"{endpoint}/secret")).json()["key"]
