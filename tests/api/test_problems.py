"""Errors have statuses in one table, and shapes that the SDKs read."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from starlette.types import Message

from service.api.problems import STATUSES
from service.domain.errors import RelevoError

OF_OTHER_WAYS_IN = ("service.console.", "service.sources.")  # which answer their own errors


def _kinds(kind: type[RelevoError] = RelevoError) -> Iterator[type[RelevoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


@pytest.mark.parametrize("kind", [kind for kind in _kinds() if not kind.__module__.startswith(OF_OTHER_WAYS_IN)])
def test_every_error_has_a_row(kind: type[RelevoError]) -> None:
    assert kind in STATUSES


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no_such_path"),
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
    assert answer.json() == {
        "code": "payload_too_large",
        "detail": "The request's body is too large: the limit is 2097152 bytes.",
    }


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "x"])
@pytest.mark.parametrize("path", ["/app", "/app/u/msg", "/app/u/endpoint", "/app/u/msg/import"])
async def test_a_body_that_is_packed_in_a_way_that_nobody_unpacks_is_refused(
    api: AsyncClient, path: str, coding: str
) -> None:
    taken = path.endswith("import") and coding.lower() == "gzip"

    answer = await api.post(path, content=b"{}", headers={"content-encoding": coding})
    plain = await api.post(path, content=b"{}", headers={"content-encoding": "Identity"})

    assert (answer.status_code == 415) is not taken
    assert plain.status_code in {200, 422}
    if not taken:
        assert answer.json()["code"] == "unsupported_media_type"
        assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/app", "GET, OPTIONS, POST"),
        ("/app/a", "DELETE, GET, OPTIONS, PATCH, PUT"),
        ("/app/a/", "DELETE, GET, OPTIONS, PATCH, PUT"),
        ("/app/a/msg", "GET, OPTIONS, POST"),
        ("/app/a/msg/export", "GET, OPTIONS"),
        ("/app/a/endpoint/b/headers", "GET, OPTIONS, PATCH, PUT"),
    ],
)
async def test_what_a_path_allows_is_told_in_whole(api: AsyncClient, path: str, methods: str) -> None:
    refused = await api.request("TRACE", path)
    asked = await api.request("OPTIONS", path)

    assert (refused.status_code, refused.headers["allow"]) == (405, methods)
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, methods, b"")


async def test_a_path_that_is_none_is_told_from_a_thing_that_is_none(api: AsyncClient) -> None:
    path, thing = await api.get("/apps"), await api.get("/app/none")

    assert path.status_code == thing.status_code == 404
    assert path.json() == {
        "code": "no_such_path",
        "detail": "There is no such path here. All there are, are shown at /docs.",
    }
    assert thing.json() == {"code": "not_found", "detail": "Application not found"}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app", "/app/u/msg", "/app/u/msg/import"])
async def test_a_body_that_breaks_off_is_no_fault_of_ours(app: FastAPI, api: AsyncClient, path: str) -> None:
    arriving: list[Message] = [
        {"type": "http.request", "body": b'{"na', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return arriving.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    request = api.build_request("POST", path)
    scope = {
        "type": "http",
        "method": "POST",
        "path": request.url.path,
        "query_string": b"",
        "headers": [(b"authorization", request.headers["authorization"].encode())],
    }
    await app(scope, receive, send)

    assert sent[0]["status"] == 400


async def test_every_path_is_served_with_a_slash_at_its_end(api: AsyncClient) -> None:
    created = await api.post("/app/", json={"name": "a", "uid": "a"})
    found = await api.get("/app/a/")

    assert (created.status_code, found.status_code) == (201, 200)
