"""The official SDK works unchanged, over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import uvicorn
from fastapi import FastAPI
from svix.api import (
    ApplicationIn,
    ApplicationListOptions,
    ApplicationPatch,
    EndpointHeadersIn,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    EventTypeIn,
    EventTypePatch,
    MessageIn,
    SvixAsync,
    SvixOptions,
)
from svix.exceptions import HttpError, HTTPValidationError

from tests.api.conftest import TOKENS
from tests.support.factories import ORG


@pytest.fixture
async def svix(app: FastAPI) -> AsyncIterator[SvixAsync]:
    """The SDK, talking to the API over a socket."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        sdk = SvixAsync(TOKENS.mint(ORG, now=datetime.now(UTC)), SvixOptions(server_url=address))
        yield sdk
        await sdk._httpx_client.aclose()
        server.should_exit = True
        await serving


async def test_applications(svix: SvixAsync) -> None:
    created = await svix.application.create(ApplicationIn(name="a", uid="one", throttle_rate=5))
    again = await svix.application.get_or_create(ApplicationIn(name="a", uid="one"))
    patched = await svix.application.patch("one", ApplicationPatch(name="b"))
    await svix.application.create(ApplicationIn(name="c"))
    page = await svix.application.list(ApplicationListOptions(limit=1))
    following = await svix.application.list(ApplicationListOptions(limit=1, iterator=page.iterator))
    await svix.application.delete("one")

    assert again.id == created.id
    assert (patched.name, patched.throttle_rate) == ("b", 5)
    assert ([application.id for application in page.data], page.done) == ([created.id], False)
    assert ([application.name for application in following.data], following.done) == (["c"], True)
    with pytest.raises(HttpError) as missing:
        await svix.application.get("one")
    assert missing.value.code == "not_found"


async def test_event_types(svix: SvixAsync) -> None:
    await svix.event_type.create(EventTypeIn(name="a.b", description="", feature_flags=["beta"]))
    patched = await svix.event_type.patch("a.b", EventTypePatch(description="changed", schemas={"1": {}}))
    await svix.event_type.delete("a.b")

    assert (patched.description, patched.schemas, patched.feature_flags) == ("changed", {"1": {}}, ["beta"])
    assert (await svix.event_type.list()).data == []
    assert (await svix.event_type.get("a.b")).archived


async def test_endpoints(svix: SvixAsync) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    endpoint = (await svix.endpoint.create(app, EndpointIn(url="http://127.0.0.1/", channels=["c"]))).id
    patched = await svix.endpoint.patch(app, endpoint, EndpointPatch(disabled=True))
    rotated = await svix.endpoint.rotate_secret(app, endpoint, EndpointSecretRotateIn())
    await svix.endpoint.set_headers(app, endpoint, EndpointHeadersIn(headers={"X-One": "1"}))

    assert (patched.disabled, patched.channels) == (True, ["c"])
    assert (await svix.endpoint.get_secret(app, endpoint)).key == rotated.key
    assert (await svix.endpoint.get_headers(app, endpoint)).headers == {"X-One": "1"}
    with pytest.raises(HTTPValidationError):
        await svix.endpoint.create(app, EndpointIn(url="ftp://127.0.0.1/"))


async def test_messages_and_what_became_of_them(svix: SvixAsync) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    endpoint = (await svix.endpoint.create(app, EndpointIn(url="http://127.0.0.1/"))).id
    sent = await svix.message.create(app, MessageIn(event_type="a.b", event_id="ev", payload={"n": 1}, tags=["t"]))
    found = await svix.message.get(app, "ev")
    resent = await svix.message_attempt.resend(app, "ev", endpoint)

    assert (found.id, found.tags, found.timestamp) == (sent.id, ["t"], sent.timestamp)
    assert [message.id for message in (await svix.message.list(app)).data] == [sent.id]
    assert resent.model_dump() == {}
    assert (await svix.message_attempt.list_attempted_destinations(app, "ev")).data == []
    assert (await svix.message_attempt.list_attempted_messages(app, endpoint)).data == []
    assert (await svix.message_attempt.list_by_msg(app, "ev")).data == []
    assert (await svix.message_attempt.list_by_endpoint(app, endpoint)).data == []


async def test_health(svix: SvixAsync) -> None:
    await svix.health.get()
