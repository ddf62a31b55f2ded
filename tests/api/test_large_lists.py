"""Lists of what is large: of a bounded size, and whole all the same when they are read page by page."""

from itertools import chain
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.application.ports.pages import MAX_PAGE_BYTES
from service.domain import ids
from tests.support.factories import ORG, add_event_types

LARGE = 1_900_000
ATTEMPT = (
    "INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,"
    " response_status_code, duration_ms, trigger, number)"
    " VALUES ($1, $2, $3, $4, $5, 't', '', 0, repeat('x', 20000), 200, 1, 0, 1)"
)


async def ids_of_pages(api: AsyncClient, path: str, *, back: bool = False, **query: Any) -> list[list[str]]:
    """The ids on each page, on to the end; or back from the last one to the first."""
    pages: list[list[str]] = []
    iterator = query.pop("iterator", None)
    for _ in range(100):
        asked = query if iterator is None else query | {"iterator": iterator}
        answer = await api.get(path, params=asked)
        assert answer.status_code == 200
        assert len(answer.content) < MAX_PAGE_BYTES + 2 * LARGE
        page = answer.json()
        pages.append([item.get("id") or item["name"] for item in page["data"]])
        if page["done"]:
            return pages
        iterator = page["prevIterator" if back else "iterator"]
    raise AssertionError("the list does not end")


@pytest.fixture
async def sent(api: AsyncClient, postgres: Database, application: str) -> list[str]:
    """The ids of large messages and small ones between them, newest first, each of them tried at the endpoint `e`."""
    endpoint = {"url": "http://127.0.0.1:9/", "uid": "e"}
    (await api.post(f"/app/{application}/endpoint", json=endpoint)).raise_for_status()
    ids = []
    for number in range(9):
        text = "x" * (LARGE if number % 3 else 1)
        answer = await api.post(f"/app/{application}/msg", json={"eventType": "t", "payload": {"text": text}})
        ids.append(answer.json()["id"])
    await postgres.pool.execute("UPDATE pending_delivery SET attempts = 1")
    return list(reversed(ids))


@pytest.mark.parametrize("path", ["/app/u/msg", "/app/u/endpoint/e/msg"])
@pytest.mark.parametrize("query", [{}, {"event_types": "t"}, {"limit": 4}])
async def test_a_page_ends_before_it_is_too_large_and_no_message_is_passed_over(
    api: AsyncClient, sent: list[str], path: str, query: dict[str, Any]
) -> None:
    pages = await ids_of_pages(api, path, **query)
    without_content = await ids_of_pages(api, path, with_content="false", **query)
    back = await ids_of_pages(api, path, back=True, iterator=f"-{sent[-1]}", **query)

    assert [*chain(*pages)] == [*chain(*without_content)] == sent
    assert len(pages) > len(without_content) or "limit" in query, "what is not shown weighs nothing"
    assert [*chain(*reversed(back))] == sent[:-1]


@pytest.fixture
async def answered(api: AsyncClient, postgres: Database, application: str) -> list[str]:
    """The ids of attempts at the endpoint `e`, newest first, each answered with as much as is kept of an answer."""
    endpoint = {"url": "http://127.0.0.1:9/", "uid": "e"}
    of_endpoint = (await api.post(f"/app/{application}/endpoint", json=endpoint)).json()["id"]
    sent = (await api.post(f"/app/{application}/msg", json={"eventType": "t", "eventId": "m", "payload": {}})).json()
    app_id = (await api.get(f"/app/{application}")).json()["id"]
    attempt_ids = [new_id(ids.ATTEMPT) for _ in range(250)]
    await postgres.pool.executemany(ATTEMPT, [(one, ORG, app_id, sent["id"], of_endpoint) for one in attempt_ids])
    return sorted(attempt_ids, reverse=True)


@pytest.mark.parametrize("path", ["/app/u/attempt/endpoint/e", "/app/u/attempt/msg/m"])
@pytest.mark.parametrize("query", [{}, {"status": 0}, {"endpoint_id": "e"}])
async def test_a_page_of_attempts_ends_before_it_is_too_large_and_none_is_passed_over(
    api: AsyncClient, answered: list[str], path: str, query: dict[str, Any]
) -> None:
    pages = await ids_of_pages(api, path, limit=250, **query)
    without_content = await ids_of_pages(api, path, limit=250, with_content="false", **query)
    back = await ids_of_pages(api, path, back=True, iterator=f"-{answered[-1]}", limit=250, **query)

    assert [*chain(*pages)] == [*chain(*without_content)] == answered
    assert (len(pages), len(without_content)) == (2, 1)
    assert [*chain(*reversed(back))] == answered[:-1]


async def test_a_page_of_event_types_ends_before_it_is_too_large_and_none_is_passed_over(
    api: AsyncClient, postgres: Database
) -> None:
    names = [f"t{number}" for number in range(100, 150)]
    await add_event_types(postgres.pool, names, characters=120_000)

    upwards: dict[str, Any] = {"order": "ascending", "limit": 250}
    pages = await ids_of_pages(api, "/event-type", with_content="true", **upwards)
    without_content = await ids_of_pages(api, "/event-type", **upwards)
    back = await ids_of_pages(api, "/event-type", back=True, with_content="true", iterator=f"-{names[-1]}", **upwards)
    exported = (await api.post("/environment/export")).json()["eventTypes"]

    assert [*chain(*pages)] == names == [event_type["name"] for event_type in exported]
    assert len(pages) == 2
    assert without_content == [names], "what is not shown weighs nothing"
    assert [*chain(*reversed(back))] == names[:-1]
