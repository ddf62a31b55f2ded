"""Every operation asked by every kind of caller, held against the one table of rights."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.api import permissions
from service.application.access import EVERY_CAPABILITY, Caller, Capability, Grant
from service.domain.errors import NotAllowed
from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS
from tests.api.rights import RIGHTS, is_let_in, roles_let_in
from tests.api.walking import ENDLESS, FITS_ALL, Operation, Things, operations
from tests.support.factories import ORG

LATER = datetime.now(UTC) + timedelta(days=1)
NOT_KNOWN, NOT_ALLOWED = 401, 403


@pytest.fixture
def asked(app: FastAPI) -> list[Operation]:
    """Every operation, in an order in which each leaves the next what it needs."""
    return operations(app, last="DELETE")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def portal(app_id: str, capabilities: frozenset[Capability] = EVERY_CAPABILITY, **grant: Any) -> str:
    """An application's token, a new one each time: some operations end the one they come with."""
    granted = Grant(capabilities=capabilities | {"ViewBase"}, **grant)
    return TOKENS.mint_for_application(ApplicationId(app_id), ORG, now=datetime.now(UTC), grant=granted)


async def listed(api: AsyncClient, role: str) -> str:
    """A token of the organisation that was made by the API."""
    answer = await api.post("/auth/token", json={"name": role, "role": role})
    return str(answer.json()["token"])


def test_the_table_names_every_operation_and_no_other(app: FastAPI, asked: list[Operation]) -> None:
    assert sorted(operation.name for operation in asked) == sorted(RIGHTS)
    assert sorted(permissions.NEEDS) == sorted(RIGHTS)


@pytest.mark.parametrize("operation", ["v1.of-tomorrow", "", None])
def test_an_operation_without_a_row_is_an_admins_alone(operation: str | None) -> None:
    permissions.check(Caller(org_id=ORG, role="admin"), operation=operation)

    others = (
        Caller(org_id=ORG, role="writer"),
        Caller(org_id=ORG, role="reader"),
        Caller(org_id=ORG, app_id=ApplicationId("app_1"), role="admin"),
    )
    for caller in others:
        with pytest.raises(NotAllowed):
            permissions.check(caller, operation=operation)


async def test_an_applications_token_may_do_what_its_capabilities_open(
    asked: list[Operation], api: AsyncClient, things: Things
) -> None:
    tokens = [EVERY_CAPABILITY, *(frozenset({capability}) for capability in sorted(EVERY_CAPABILITY))]

    walked = [
        (capabilities, operation, await ask(operation, api, things, portal(things["app_id"], capabilities)))
        for capabilities in tokens
        for operation in asked
        if operation.name not in ENDLESS or not is_let_in(operation.name, capabilities)
    ]

    assert {
        (operation.name, *sorted(capabilities)): answer.text
        for capabilities, operation, answer in walked
        if was_let_in(answer) != is_let_in(operation.name, capabilities)
    } == {}
    # The first of them, who finds everything in its place, is not only let in.
    assert {
        operation.name: answer.text
        for capabilities, operation, answer in walked[: len(asked)]
        if capabilities == EVERY_CAPABILITY and was_let_in(answer) and not answer.is_success
    } == {}


async def test_an_organisations_token_may_do_what_its_role_allows(
    asked: list[Operation], api: AsyncClient, things: Things
) -> None:
    now = datetime.now(UTC)
    tokens = [
        ("reader", TOKENS.mint(ORG, now=now, role="reader")),
        ("reader", await listed(api, "reader")),
        ("writer", await listed(api, "writer")),
        ("admin", await listed(api, "admin")),
    ]

    walked = [
        (role, operation, await ask(operation, api, things, token))
        for role, token in tokens
        for operation in asked
        if operation.name not in ENDLESS or role not in roles_let_in(operation.name)
    ]

    assert {
        (operation.name, role): answer.text
        for role, operation, answer in walked
        if was_let_in(answer) != (role in roles_let_in(operation.name))
    } == {}
    assert {role for role, _, answer in walked if was_let_in(answer)} == {"reader", "writer", "admin"}


@pytest.fixture
async def ended(api: AsyncClient, things: Things) -> dict[str, dict[str, str]]:
    """The headers of everybody whom nothing is open to, by what became of them."""
    long_ago = datetime.now(UTC) - timedelta(days=30)
    gone = (await api.post("/app", json={"name": "gone"})).json()["id"]
    of_gone = [portal(gone), portal(gone, frozenset({"ViewBase"}))]
    await api.delete(f"/app/{gone}")
    refreshed, left, of_session = [portal(things["app_id"], session_id=name) for name in ("refreshed", "left", "s")]
    await api.post("/auth/refresh", headers=bearer(refreshed))
    await api.post("/auth/logout", headers=bearer(left))
    await api.post(f"/auth/app/{things['app_id']}/expire-all", json={"sessionIds": ["s"]})
    revoked = (await api.post("/auth/token", json={"name": "r", "role": "admin"})).json()
    await api.delete(f"/auth/token/{revoked['id']}")
    return {
        "nobody": {"authorization": ""},
        "no token": {"authorization": "Bearer"},
        "another scheme": {"authorization": "Basic dXNlcjpwYXNzd29yZA=="},
        "nonsense": bearer("nonsense"),
        "a deleted application": bearer(of_gone[0]),
        "a deleted application's reader": bearer(of_gone[1]),
        "a token made for a deleted application": bearer(portal(gone)),
        "a token made for it elsewhere, a little later": bearer(
            TOKENS.mint_for_application(ApplicationId(gone), ORG, now=datetime.now(UTC) + timedelta(seconds=50))
        ),
        "who refreshed": bearer(refreshed),
        "who logged out": bearer(left),
        "an ended session": bearer(of_session),
        "a revoked token": bearer(revoked["token"]),
        "an expired token": bearer(TOKENS.mint(ORG, now=long_ago, lifetime=timedelta(days=1))),
        "an expired application": bearer(
            TOKENS.mint_for_application(ApplicationId(things["app_id"]), ORG, now=long_ago)
        ),
        "a token of tomorrow": bearer(TOKENS.mint(ORG, now=LATER)),
    }


async def test_whose_token_has_ended_is_let_in_nowhere(
    asked: list[Operation], api: AsyncClient, things: Things, ended: dict[str, dict[str, str]]
) -> None:
    answers = {
        (operation.name, who): (await operation.ask(api, things, headers=headers)).status_code
        for operation in asked
        for who, headers in ended.items()
    }

    assert {case: status for case, status in answers.items() if status != NOT_KNOWN} == {}
    assert len(answers) == len(RIGHTS) * len(ended)


async def ask(operation: Operation, api: AsyncClient, things: Things, token: str) -> Response:
    """The answer to a request that is in order, but for who asks."""
    options: dict[str, Any] = {}
    if operation.name == "v1.message.import":
        options = {"json": None, "content": b'{"eventType": "known", "payload": {}}\n'}
    if operation.name == "v1.statistics.aggregate-app-stats":
        options = {"json": {name: FITS_ALL[name] for name in ("since", "until")}}
    return await operation.ask(api, things, headers=bearer(token), **options)


def was_let_in(answer: Response) -> bool:
    """Whether the request was refused for something else than who asked, if at all."""
    assert answer.status_code < 500, answer.text
    return answer.status_code not in {NOT_KNOWN, NOT_ALLOWED}
