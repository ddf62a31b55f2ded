"""The official SDK works unchanged, over a real socket."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
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
    MessageAttemptListAttemptedMessagesOptions,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageCreateOptions,
    MessageGetOptions,
    MessageIn,
    MessageListOptions,
    SvixAsync,
    SvixOptions,
)
from svix.api.message import message_in_raw
from svix.exceptions import HttpError, HTTPValidationError

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.domain import ids
from tests.api.conftest import TOKENS
from tests.api.test_deliveries import ATTEMPT, TRIED
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.serving import serving


@pytest.fixture
async def svix(app: FastAPI) -> AsyncIterator[SvixAsync]:
    """The SDK, talking to the API over a socket."""
    async with serving(app) as port:
        token = TOKENS.mint(ORG, now=datetime.now(UTC))
        sdk = SvixAsync(token, SvixOptions(server_url=f"http://127.0.0.1:{port}", timeout=patient(15)))
        yield sdk
        await sdk._httpx_client.aclose()


async def an_application(svix: SvixAsync) -> str:
    """An application with an endpoint that wants everything."""
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    await svix.endpoint.create(app, EndpointIn(url="http://127.0.0.1/"))
    return app


async def an_attempt(database: Database, endpoint: str, message: str) -> str:
    """An attempt that was made, for which the message waits to be tried again."""
    attempt = new_id(ids.ATTEMPT)
    await database.pool.execute(ATTEMPT, attempt, message, endpoint, 2, 500, None, "0" * 32)
    await database.pool.execute(TRIED)
    return attempt


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


async def test_a_message_for_later_is_due_then(svix: SvixAsync, postgres: Database) -> None:
    app = await an_application(svix)
    later = datetime.now(UTC) + timedelta(hours=1)

    sent = await svix.message.create(app, MessageIn(event_type="a.b", payload={}, deliver_at=later))

    assert sent.deliver_at == (await svix.message.get(app, sent.id)).deliver_at == later
    assert await postgres.pool.fetchval("SELECT due_at FROM pending_delivery") == later
    for untimely in (timedelta(seconds=50), timedelta(hours=24, minutes=1)):
        with pytest.raises(HTTPValidationError):
            await svix.message.create(
                app, MessageIn(event_type="a.b", payload={}, deliver_at=datetime.now(UTC) + untimely)
            )


async def test_channels_and_tags_decide_and_are_looked_for(svix: SvixAsync, postgres: Database) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    labels: dict[str, Any] = {"channels": ["project:7", "a+b"], "tags": ["billing/2026#\\"]}
    endpoint = (await svix.endpoint.create(app, EndpointIn(url="http://127.0.0.1/", channels=["a+b"]))).id
    sent = await svix.message.create(app, MessageIn(event_type="a.b", payload={}, **labels))
    other = await svix.message.create(app, MessageIn(event_type="a.b", payload={}, channels=["c"]))
    attempt = await an_attempt(postgres, endpoint, sent.id)

    assert [row["message_id"] for row in await postgres.pool.fetch("SELECT message_id FROM pending_delivery")] == [
        sent.id
    ]
    assert (sent.channels, sent.tags) == (labels["channels"], labels["tags"])
    filters: list[dict[str, Any]] = [{"channel": "project:7"}, {"channel": "a+b"}, {"tag": labels["tags"][0]}]
    for wanted in filters:
        messages = await svix.message.list(app, MessageListOptions(**wanted))
        by_endpoint = await svix.message_attempt.list_by_endpoint(
            app, endpoint, MessageAttemptListByEndpointOptions(**wanted, with_msg=True)
        )
        by_message = await svix.message_attempt.list_by_msg(app, sent.id, MessageAttemptListByMsgOptions(**wanted))
        tried = await svix.message_attempt.list_attempted_messages(
            app, endpoint, MessageAttemptListAttemptedMessagesOptions(**wanted)
        )
        assert [message.id for message in messages.data] == [sent.id]
        assert [found.id for found in (*by_endpoint.data, *by_message.data)] == [attempt, attempt]
        assert [found.msg and found.msg.tags for found in by_endpoint.data] == [labels["tags"]]
        assert [message.id for message in tried.data] == [sent.id]
    assert [message.id for message in (await svix.message.list(app)).data] == [other.id, sent.id]


async def test_contents_are_shown_when_asked_for_and_gone_when_expunged(svix: SvixAsync, postgres: Database) -> None:
    app = await an_application(svix)
    endpoint = (await svix.endpoint.list(app)).data[0].id
    created = await svix.message.create(
        app, MessageIn(event_type="a.b", payload={"n": 1}), MessageCreateOptions(with_content=True)
    )
    attempt = await an_attempt(postgres, endpoint, created.id)

    shown = await svix.message.get(app, created.id, MessageGetOptions(with_content=True))
    plain = await svix.message.get(app, created.id)
    (told,) = (
        await svix.message_attempt.list_by_msg(app, created.id, MessageAttemptListByMsgOptions(with_content=True))
    ).data
    (untold,) = (await svix.message_attempt.list_by_msg(app, created.id)).data
    await svix.message.expunge_content(app, created.id)
    await svix.message_attempt.expunge_content(app, created.id, attempt)

    assert (created.payload, shown.payload, plain.payload) == ({"n": 1}, {"n": 1}, {})
    assert (told.response, untold.response) == ("said", "{}")
    assert (await svix.message.get(app, created.id, MessageGetOptions(with_content=True))).payload == {"expired": True}
    assert (await svix.message_attempt.get(app, created.id, attempt)).response == "EXPUNGED"
    with pytest.raises(HttpError) as gone:
        await svix.message_attempt.resend(app, created.id, endpoint)
    assert gone.value.code == "missing_payload"


@pytest.mark.parametrize("content_type", ["application/xml", None])
async def test_a_raw_payload_is_kept_with_its_content_type(
    svix: SvixAsync, postgres: Database, content_type: str | None
) -> None:
    app = await an_application(svix)

    await svix.message.create(app, message_in_raw("a.b", "<xml/>", content_type))

    kept = await postgres.pool.fetchrow("SELECT payload, content_type FROM message")
    assert tuple(kept) == (b"<xml/>", content_type)


async def test_a_content_type_that_cannot_be_sent_is_refused(svix: SvixAsync) -> None:
    app = await an_application(svix)

    with pytest.raises(HTTPValidationError):
        await svix.message.create(app, message_in_raw("a.b", "<xml/>", "application/xml\r\nx-injected: 1"))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"payload_retention_hours": 1}, timedelta(hours=1)),
        ({"payload_retention_hours": 2160}, timedelta(days=90)),
        ({"payload_retention_period": 1}, timedelta(days=1)),
        ({"payload_retention_hours": None, "payload_retention_period": None}, timedelta(days=90)),
    ],
)
async def test_a_payload_is_kept_for_as_long_as_was_said(
    svix: SvixAsync, postgres: Database, said: dict[str, Any], kept: timedelta
) -> None:
    app = await an_application(svix)

    sent = await svix.message.create(app, MessageIn(event_type="a.b", payload={}, **said))

    expires_at = await postgres.pool.fetchval("SELECT expires_at FROM message WHERE id = $1", sent.id)
    assert abs(expires_at - sent.timestamp - kept) < timedelta(seconds=5)


@pytest.mark.parametrize("hours", [0, 2161])
async def test_a_payload_is_kept_for_at_least_an_hour_and_at_most_ninety_days(svix: SvixAsync, hours: int) -> None:
    app = await an_application(svix)

    with pytest.raises(HTTPValidationError):
        await svix.message.create(app, MessageIn(event_type="a.b", payload={}, payload_retention_hours=hours))


async def test_what_is_set_to_none_is_as_if_it_was_not_said_and_in_a_patch_it_is_cleared(svix: SvixAsync) -> None:
    unsaid: dict[str, Any] = {"uid": None, "metadata": None, "throttle_rate": None}
    app = (await svix.application.create(ApplicationIn(name="a", **unsaid))).id
    await svix.application.patch(app, ApplicationPatch(uid="u", throttle_rate=5))
    endpoint_in = EndpointIn(url="http://127.0.0.1/", **unsaid, event_types=None, channels=None, secret=None)
    endpoint = (await svix.endpoint.create(app, endpoint_in)).id
    await svix.endpoint.patch(app, endpoint, EndpointPatch(uid="e", channels=["c"], throttle_rate=5))

    cleared = await svix.application.patch(app, ApplicationPatch(uid=None, throttle_rate=None))
    freed = await svix.endpoint.patch(app, endpoint, EndpointPatch(uid=None, channels=None, throttle_rate=None))
    message = await svix.message.create(
        app,
        MessageIn(
            event_type="a.b", payload={}, event_id=None, channels=None, tags=None, application=None, deliver_at=None
        ),
    )

    assert (cleared.uid, cleared.throttle_rate, cleared.metadata) == (None, None, {})
    assert (freed.uid, freed.channels, freed.throttle_rate) == (None, None, None)
    assert (message.event_id, message.channels, message.tags, message.deliver_at) == (None, None, None, None)


async def test_health(svix: SvixAsync) -> None:
    await svix.health.get()
