"""A refusal says what would have been right."""

import pytest
from httpx import AsyncClient

STATUSES = "0 (success), 1 (pending), 2 (fail), 3 (sending), 4 (canceled)"
TIME = "a time by RFC 3339"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("status=success", STATUSES),
        ("status=7", STATUSES),
        ("status=", STATUSES),
        ("status_code_class=404", "400 (client error)"),
        ("status_code_class=2xx", "200 (success)"),
        ("before=yesterday", TIME),
        ("after=2026-13-01", TIME),
        ("with_content=perhaps", "true or false"),
        ("limit=many", "a whole number"),
        ("limit=0", "greater than or equal to 1"),
        ("limit=251", "must not exceed 250"),
        ("iterator=x", "not returned by a list"),
        ("event_types=a%20b", "'a b' is not the name of an event type"),
        ("channel=a%20b", "pattern"),
    ],
)
async def test_a_filter_says_what_it_allows(api: AsyncClient, application: str, query: str, told: str) -> None:
    endpoint = (await api.post(f"/app/{application}/endpoint", json={"url": "http://127.0.0.1:9/"})).json()["id"]

    answer = await api.get(f"/app/{application}/attempt/endpoint/{endpoint}?{query}")

    assert answer.status_code in {400, 422}
    assert told in answer.text


async def test_an_order_says_what_it_allows(api: AsyncClient) -> None:
    assert "'ascending' or 'descending'" in (await api.get("/app?order=up")).text


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (None, "No token was sent. Send the header `Authorization: Bearer <token>`."),
        ("", "The header `Authorization` must be `Bearer <token>`."),
        ("Bearer", "The header `Authorization` must be `Bearer <token>`."),
        ("Basic dTpw", "The header `Authorization` must be `Bearer <token>`."),
        ("a-token", "The header `Authorization` must be `Bearer <token>`."),
        ("Bearer a-token", "Invalid token"),
        ("bearer a-token", "Invalid token"),
    ],
)
@pytest.mark.parametrize("path", ["/app", "/app/u/msg"])
async def test_no_token_is_told_apart_from_one_that_does_not_hold(
    api: AsyncClient, path: str, header: str | None, detail: str
) -> None:
    del api.headers["authorization"]

    answer = await api.post(path, json={"name": "a"}, headers={} if header is None else {"authorization": header})

    assert answer.status_code == 401
    assert answer.json() == {"code": "authentication_failed", "detail": detail}
    assert answer.headers["www-authenticate"] == "Bearer"
