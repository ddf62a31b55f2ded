"""Lists of messages that are large: of a bounded size, and whole all the same when they are read page by page."""

from itertools import chain
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.application.ports.lists import MOST_BYTES

LARGE = 1_900_000


async def ids_of_pages(api: AsyncClient, path: str, *, back: bool = False, **query: Any) -> list[list[str]]:
    """The ids on each page, on to the end; or back from the last one to the first."""
    pages: list[list[str]] = []
    iterator = query.pop("iterator", None)
    for _ in range(100):
        asked = query if iterator is None else query | {"iterator": iterator}
        answer = await api.get(path, params=asked)
        assert answer.status_code == 200
        assert len(answer.content) < MOST_BYTES + 2 * LARGE
        page = answer.json()
        pages.append([item["id"] for item in page["data"]])
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
