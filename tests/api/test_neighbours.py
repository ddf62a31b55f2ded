"""Every operation of the document asked by its owner, by a stranger, and by an application next door."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import Database
from service.domain.ids import ApplicationId, OrgId
from tests.api.conftest import TOKENS, serving
from tests.api.walking import ENDLESS, FITS_ALL, HIDDEN, Operation, Things, operations
from tests.support.factories import ORG

STRANGER = OrgId("org_000000000000000000000000002")
# Event types are the organisation's, and every application's to read; these two end the token that asks.
EVERY_APPLICATIONS = {
    "v1.event-type.get",
    "v1.event-type.list",
    "v1.authentication.logout",
    "v1.authentication.refresh",
}
# The identifiers of their things, which no answer to somebody else may hold: lists name no name, but show these.
THEIRS = (
    "app_id",
    "attempt_id",
    "destination_id",
    "endpoint_id",
    "import_id",
    "msg_id",
    "operational_id",
    "organisation_task_id",
    "sink_id",
    "source_id",
    "task_id",
    "token_id",
)


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Another organisation's admin, who has an application too."""
    async with serving(app, token=TOKENS.mint(STRANGER, now=datetime.now(UTC))) as client:
        yield client


async def test_their_owner_finds_every_one_of_them(app: FastAPI, api: AsyncClient, things: Things) -> None:
    """Otherwise the walks below would prove nothing."""
    asked = [
        operation
        for operation in operations(app, last="DELETE")
        if operation.names_a_thing and operation.name not in ENDLESS
    ]

    answers = {operation.name: await operation.ask(api, things) for operation in asked}

    assert {name: answer.text for name, answer in answers.items() if not answer.is_success} == {}
    assert len(answers) > 40


async def test_a_stranger_finds_nothing_on_any_route(
    app: FastAPI, stranger: AsyncClient, things: Things, postgres: Database
) -> None:
    own = (await stranger.post("/app", json={"name": "b"})).json()["id"]
    before = await rows(postgres, org_id=ORG)

    for operation in operations(app, last="PUT"):
        await nothing_is_found(operation, stranger, things)
        if operation.names_a_part:
            await nothing_is_found(operation, stranger, things, within=own)

    assert await rows(postgres, org_id=ORG) == before


async def test_a_neighbours_token_finds_nothing_on_any_route(
    app: FastAPI, api: AsyncClient, things: Things, postgres: Database
) -> None:
    own = (await api.post("/app", json={"name": "b"})).json()["id"]
    token = TOKENS.mint_for_application(ApplicationId(own), ORG, now=datetime.now(UTC))
    bearer = {"authorization": f"Bearer {token}"}
    before = await rows(postgres, app_id=things["app_id"])

    for operation in operations(app, last="PUT"):
        if operation.name in EVERY_APPLICATIONS:
            continue
        await nothing_is_found(operation, api, things, headers=bearer)
        if operation.names_a_part:
            await nothing_is_found(operation, api, things, within=own, headers=bearer)

    assert await rows(postgres, app_id=things["app_id"]) == before


async def test_what_a_body_or_a_query_names_is_looked_for_among_ones_own(stranger: AsyncClient, things: Things) -> None:
    await stranger.post("/app", json={"name": "b", "uid": "own"})

    counted = await stranger.post("/stats/usage/app", json=FITS_ALL | {"appIds": ["own", things["app_id"]]})
    expunged = await stranger.post("/app/own/msg/bulk-expunge", json={"ids": [things["msg_id"]]})
    listed = [
        await stranger.get("/app", params={"iterator": things["app_id"], "order": order})
        for order in ("ascending", "descending")
    ]

    assert counted.json()["unresolvedAppIds"] == [things["app_id"]]
    assert expunged.json()["results"] == {things["msg_id"]: "not-found"}
    assert [found["uid"] for answer in listed for found in answer.json()["data"]] == ["own"]


async def nothing_is_found(
    operation: Operation, client: AsyncClient, theirs: Things, *, within: str | None = None, **options: Any
) -> None:
    """404, or 403 for whoever may not ask at all; what creates, and what names nothing, is free to go on.

    `within` is an application of one's own to look in.
    """
    things = theirs | ({"app_id": within} if within else {})
    answer = await operation.ask(client, things, **options)

    case = f"{operation.name} {operation.path.format_map(things)}: {answer.status_code} {answer.text}"
    free = not operation.names_a_thing or operation.name.endswith(".upsert")
    assert answer.status_code < 500 if free else answer.status_code in {403, 404}, case
    assert HIDDEN not in answer.text, case
    # What was asked for may be repeated; nothing else that is theirs is told, not even that it is there.
    unasked = [name for name in THEIRS if f"{{{name}}}" not in operation.path]
    assert [name for name in unasked if theirs[name] in answer.text] == [], case


async def rows(postgres: Database, **owner: str) -> dict[str, list[str]]:
    """Every row that is theirs, in every table that says whose its rows are; but the trail is written meanwhile."""
    ((column, value),) = owner.items()
    owned = [name for name, table in tables.metadata.tables.items() if column in table.c and name != "audit_event"]
    statement = f"SELECT t::text AS whole FROM {{}} t WHERE {column} = $1 ORDER BY 1"
    return {name: [row["whole"] for row in await postgres.pool.fetch(statement.format(name), value)] for name in owned}
