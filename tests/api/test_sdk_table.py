"""Every method of the official SDK, called; the table of service/api/README.md says what came of it."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from svix import api as svix_api
from svix import models
from svix.api import ApplicationIn, EndpointIn, EventTypeIn, MessageIn, SvixAsync, SvixOptions
from svix.exceptions import HttpError, HTTPValidationError

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.api.routes.not_offered import not_offered
from service.domain import ids
from tests.api.conftest import TOKENS
from tests.api.served import served
from tests.support.factories import ORG
from tests.support.patience import patient

DOCUMENT = Path(__file__).parents[2] / "service" / "api" / "README.md"
BEGIN, END = "<!-- sdk -->", "<!-- /sdk -->"
NOT_OFFERED = {missing.name: missing.reason for missing in not_offered()}
OF_OLDER_SDKS = {"integration.get_key"}


def sdk_table(outcomes: dict[str, str]) -> str:
    """The table of SDK methods, in Markdown."""
    rows = [f"| `{name}` | {outcome} |" for name, outcome in sorted(outcomes.items())]
    return "\n".join(["| method | |", "|---|---|", *rows])


def methods(sdk: SvixAsync) -> Iterator[tuple[str, Any]]:
    """Each method of the whole client by its name, as in `endpoint.get_secret`."""
    waiting: list[tuple[str, Any]] = [("", sdk)]
    while waiting:
        path, owner = waiting.pop(0)
        for name, kind in inspect.getmembers_static(type(owner)):
            if isinstance(kind, property):
                waiting.append((f"{path}{name}.", getattr(owner, name)))
            elif inspect.iscoroutinefunction(kind) and not name.startswith("_"):
                yield f"{path}{name}", getattr(owner, name)


@pytest.mark.timeout(120)
async def test_the_readme_says_which_methods_of_the_sdk_work(app: FastAPI, postgres: Database) -> None:
    async with served(app) as api, AsyncExitStack() as exits:
        open_sdk = partial(_sdk, exits, api)
        sdk = open_sdk()
        outcomes = {}
        for name, method in methods(sdk):
            if name in NOT_OFFERED:
                outcomes[name] = await _call_in_vain(name, method)
                continue
            scene = await _scene(sdk, postgres, name)
            if name == "authentication.logout":
                access = await sdk.authentication.app_portal_access(scene["app_id"], models.AppPortalAccessIn())
                outcomes[name] = await _call(name, open_sdk(access.token).authentication.logout, scene)
            else:
                outcomes[name] = await _call(name, method, scene)

    failed = {name: outcome for name, outcome in outcomes.items() if outcome.startswith("failed")}
    assert failed == {}
    table = sdk_table(outcomes)
    assert _between_markers(DOCUMENT.read_text()) == table, f"put this between {BEGIN} and {END}:\n{table}"


async def _call(name: str, method: Any, scene: dict[str, Any]) -> str:
    hints = get_type_hints(method, vars(svix_api) | vars(models))
    parameters = [parameter for parameter in inspect.signature(method).parameters if parameter != "options"]
    arguments = [scene.get(parameter) or _body(hints[parameter]) for parameter in parameters]
    if name == "operational_webhook.endpoint.delete":
        arguments = [scene["endpoint_id"]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # some methods are, and are called all the same
            await method(*arguments)
    except HttpError as error:
        return f"failed: {error.status_code} {error.detail}"
    except HTTPValidationError as error:
        return f"failed: {error.to_dict()}"
    except Exception as error:  # noqa: BLE001 - whatever the SDK cannot read is what this test looks for
        return f"failed: {error!r}"
    return "works"


async def _call_in_vain(name: str, method: Any) -> str:
    hints = get_type_hints(method, vars(svix_api) | vars(models))
    parameters = [parameter for parameter in inspect.signature(method).parameters if parameter != "options"]
    arguments = ["x" if hints[parameter] is str else hints[parameter].model_construct() for parameter in parameters]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await method(*arguments)
    except HttpError as error:
        if (error.status_code, error.code) == (501, "not_implemented") and f"`{name}`" in error.detail:
            return f"not offered: {NOT_OFFERED[name]}"
        return f"failed: {error.status_code} {error.detail}"
    return "failed: something came of it"


async def test_whatever_is_said_not_to_be_offered_is_a_method_of_an_sdk() -> None:
    sdk = SvixAsync("no token", SvixOptions(server_url="http://127.0.0.1:9"))

    assert NOT_OFFERED.keys() - {name for name, _ in methods(sdk)} == OF_OLDER_SDKS


async def _scene(sdk: SvixAsync, database: Database, name: str) -> dict[str, Any]:
    """An application with one of everything, for one call alone."""
    app = (await sdk.application.create(ApplicationIn(name="an application"))).id
    endpoint = (await sdk.endpoint.create(app, EndpointIn(url="http://127.0.0.1:9/"))).id
    if name.startswith("operational_webhook."):
        operational = models.OperationalWebhookEndpointIn(url="http://127.0.0.1:9/")
        endpoint = (await sdk.operational_webhook.endpoint.create(operational)).id
    kind = "pollingEndpoint" if name.startswith("message.poller.") else "fifoEndpoint"
    config = {} if kind == "pollingEndpoint" else {"url": "http://127.0.0.1:9/"}
    destination_in = models.DestinationIn(type=kind, config=config)
    destination = (await sdk.destination.create(app, destination_in)).id
    event_type = f"type.{name}"
    await sdk.event_type.create(EventTypeIn(name=event_type, description="", schemas={"1": {"examples": [{"a": 1}]}}))
    message = (await sdk.message.create(app, MessageIn(event_type=event_type, payload={}))).id
    task = (await sdk.statistics.aggregate_event_types()).id
    return {
        "app_id": app,
        "endpoint_id": endpoint,
        "destination_id": destination,
        "destination_in": destination_in,
        "destination_patch": models.DestinationPatch(type=kind, config={}),
        "sink_id": destination,
        "consumer_id": "reader",
        "event_type_name": event_type,
        "msg_id": message,
        "attempt_id": await _attempt(database, app, endpoint, message),
        "task_id": task,
        "event_example_in": models.EventExampleIn(event_type=event_type),
    }


def _body(kind: Any) -> Any:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    values = {
        "name": "a.name",
        "url": "http://127.0.0.1:9/",
        "description": "a description",
        "event_type": "invoice.paid",
        "payload": {},
        "since": hour_ago,
        "after": hour_ago,
        "until": datetime.now(UTC),
        "headers": {"X-One": "1"},
        "message_ids": ["msg_1"],
        "spec": {"openapi": "3.1.0", "webhooks": {}},
    }
    always = {"spec"} if kind is models.EventTypeImportOpenApiIn else set()
    fields = {name for name, field in kind.model_fields.items() if field.is_required()} | always
    return kind(**{name: values[name] for name in fields})


async def _attempt(database: Database, app: str, endpoint: str, message: str) -> str:
    attempt = new_id(ids.ATTEMPT)
    await database.pool.execute(
        "INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,"
        " response_status_code, duration_ms, trigger, number)"
        " VALUES ($1, $2, $3, $4, $5, 't', '', 0, '', 200, 1, 0, 1)",
        attempt,
        ORG,
        app,
        message,
        endpoint,
    )
    return attempt


def _sdk(exits: AsyncExitStack, api: AsyncClient, token: str | None = None) -> SvixAsync:
    address = str(api.base_url).rstrip("/").removesuffix("/api/v1")
    options = SvixOptions(server_url=address, retry_schedule=[], timeout=patient(15))
    sdk = SvixAsync(token or TOKENS.mint(ORG, now=datetime.now(UTC)), options)
    exits.push_async_callback(sdk._httpx_client.aclose)
    return sdk


def _between_markers(text: str) -> str:
    return text.partition(BEGIN)[2].partition(END)[0].strip()
