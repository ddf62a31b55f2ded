"""Errors have statuses in one table, and shapes that the SDKs read."""

from collections.abc import AsyncIterator, Iterator

import pytest
from httpx import AsyncClient

from service.api.problems import STATUSES
from service.domain.errors import RelevoError


def _kinds(kind: type[RelevoError] = RelevoError) -> Iterator[type[RelevoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


@pytest.mark.parametrize("kind", list(_kinds()))
def test_every_error_has_a_row(kind: type[RelevoError]) -> None:
    assert kind in STATUSES


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/app", 405, "method_not_allowed"),
        ("GET", "/app/none", 404, "not_found"),
        ("GET", "/app/a%00b", 404, "not_found"),
        ("GET", "/app/" + "x" * 10_000, 404, "not_found"),
    ],
)
async def test_what_is_not_there_is_told_in_json(
    api: AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/app", "/app/a/msg"])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_large_body_is_refused_in_json(api: AsyncClient, path: str, *, announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b" " * 2**16

    answer = await api.post(path, content=b" " * (2**21 + 1) if announced else chunks())

    assert answer.status_code == 413
    assert answer.json() == {"code": "payload_too_large", "detail": "Request payload is too large."}


async def test_every_path_is_served_with_a_slash_at_its_end(api: AsyncClient) -> None:
    created = await api.post("/app/", json={"name": "a", "uid": "a"})
    found = await api.get("/app/a/")

    assert (created.status_code, found.status_code) == (201, 200)
