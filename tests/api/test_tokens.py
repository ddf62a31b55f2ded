"""Tokens of applications: what they allow, and that they end when somebody says so."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.adapters.access.verifier import Verifier
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.server.database import Database
from service.api.services import Services
from service.application.access import Grant
from service.application.revocations import Revocations
from service.domain import ids
from service.domain.errors import NotAuthenticated
from service.domain.ids import ApplicationId, OrgId
from service.domain.revocations import MAX_REVOCATIONS
from tests.api.conftest import TOKENS, serving
from tests.support.factories import ORG

ENDPOINT = {"url": "http://127.0.0.1:9/"}


@pytest.fixture
async def endpoint(api: AsyncClient, application: str) -> str:
    """The path of an endpoint of the application."""
    answer = await api.post(f"/app/{application}/endpoint", json=ENDPOINT)
    return f"/app/{application}/endpoint/{answer.json()['id']}"


async def granted(api: AsyncClient, ref: str, **body: Any) -> dict[str, str]:
    """The headers of a caller who was given a token."""
    answer = await api.post(f"/auth/app-portal-access/{ref}", json=body)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['token']}"}


async def status(api: AsyncClient, method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
    return (await api.request(method, path, headers=headers, json=body)).status_code


async def test_a_token_may_do_what_its_capabilities_say_and_nothing_else(
    api: AsyncClient, application: str, endpoint: str
) -> None:
    bearers = {
        capability: await granted(api, application, capabilities=["ViewBase", capability])
        for capability in ("ViewBase", "ViewEndpointSecret", "ManageEndpointSecret", "CreateAttempts", "ManageEndpoint")
    }

    async def allowed(method: str, path: str, body: Any = None) -> list[str]:
        return [name for name, bearer in bearers.items() if await status(api, method, path, bearer, body) != 403]

    assert await allowed("GET", endpoint) == list(bearers)
    assert await allowed("GET", f"{endpoint}/secret") == [
        "ViewEndpointSecret",
        "ManageEndpointSecret",
        "ManageEndpoint",
    ]
    assert await allowed("POST", f"{endpoint}/secret/rotate", {}) == ["ManageEndpointSecret", "ManageEndpoint"]
    assert await allowed("PATCH", endpoint, {"description": "d"}) == ["ManageEndpoint"]
    assert await allowed("PUT", f"{endpoint}/headers", {"headers": {}}) == ["ManageEndpoint"]
    assert await allowed("POST", f"/app/{application}/endpoint", ENDPOINT) == ["ManageEndpoint"]
    assert await allowed("POST", f"/app/{application}/msg/m/endpoint/e/resend", {}) == ["CreateAttempts"]
    assert await allowed("DELETE", endpoint) == ["ManageEndpoint"]


async def test_a_token_without_restrictions_manages_its_application(
    api: AsyncClient, application: str, endpoint: str
) -> None:
    bearer = await granted(api, application)

    assert await status(api, "GET", f"{endpoint}/secret", bearer) == 200
    assert await status(api, "PATCH", endpoint, bearer, {"description": "d"}) == 200
    assert await status(api, "POST", f"/auth/app-portal-access/{application}", bearer, {}) == 403


async def test_read_only_is_the_base_alone(api: AsyncClient, application: str, endpoint: str) -> None:
    bearer = await granted(api, application, readOnly=True)

    assert await status(api, "GET", endpoint, bearer) == 200
    assert await status(api, "GET", f"{endpoint}/secret", bearer) == 403


@pytest.mark.parametrize(
    "body",
    [
        {"capabilities": []},
        {"capabilities": ["ManageEndpoint"]},
        {"capabilities": ["ViewBase", "Everything"]},
        {"expiry": 3599},
        {"expiry": 604_801},
    ],
    ids=str,
)
async def test_a_grant_that_cannot_be_is_a_fault_of_the_request(
    api: AsyncClient, application: str, body: dict[str, Any]
) -> None:
    assert (await api.post(f"/auth/app-portal-access/{application}", json=body)).status_code == 422


async def test_a_grant_can_bring_its_application_along(api: AsyncClient) -> None:
    unknown = await api.post("/auth/app-portal-access/new", json={})
    other = await api.post("/auth/app-portal-access/new", json={"application": {"name": "n", "uid": "other"}})

    bearer = await granted(api, "new", application={"name": "n", "uid": "new"})

    assert (unknown.status_code, other.status_code) == (404, 422)
    assert await status(api, "GET", "/app/new", bearer) == 200


@pytest.mark.parametrize("role", ["writer", "reader"])
async def test_only_an_admin_gives_and_ends_tokens(api: AsyncClient, application: str, role: Any) -> None:
    bearer = {"authorization": f"Bearer {TOKENS.mint(ORG, now=datetime.now(UTC), role=role)}"}

    assert await status(api, "POST", f"/auth/app-portal-access/{application}", bearer, {}) == 403
    assert await status(api, "POST", f"/auth/app/{application}/expire-all", bearer, {}) == 403


async def test_who_logs_out_is_out_and_nobody_else(api: AsyncClient, application: str) -> None:
    first, second = await granted(api, application), await granted(api, application)

    answer = await api.post("/auth/logout", headers=first)

    assert answer.status_code == 204
    assert await status(api, "GET", f"/app/{application}", first) == 401
    assert await status(api, "GET", f"/app/{application}", second) == 200


async def test_respelling_the_signature_does_not_bring_a_token_back(api: AsyncClient, application: str) -> None:
    bearer = await granted(api, application)
    await api.post("/auth/logout", headers=bearer)

    for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        respelt = {"authorization": bearer["authorization"][:-1] + character}
        assert await status(api, "GET", f"/app/{application}", respelt) == 401


async def test_an_organisation_cannot_log_out(api: AsyncClient) -> None:
    answer = await api.post("/auth/logout")

    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient access")


async def test_expire_all_ends_what_there_is_and_not_what_comes(api: AsyncClient, application: str) -> None:
    before = [await granted(api, application), await granted(api, application, sessionId="s")]

    assert (await api.post(f"/auth/app/{application}/expire-all", json={})).status_code == 204
    after = await granted(api, application)

    assert [await status(api, "GET", f"/app/{application}", bearer) for bearer in before] == [401, 401]
    assert await status(api, "GET", f"/app/{application}", after) == 200


async def test_expire_all_can_be_for_some_sessions(api: AsyncClient, application: str) -> None:
    ended = [await granted(api, application, sessionId=session) for session in ("a", "b")]
    kept = [await granted(api, application, sessionId="c"), await granted(api, application)]

    await api.post(f"/auth/app/{application}/expire-all", json={"sessionIds": ["a", "b"]})

    assert [await status(api, "GET", f"/app/{application}", bearer) for bearer in ended] == [401, 401]
    assert [await status(api, "GET", f"/app/{application}", bearer) for bearer in kept] == [200, 200]


async def test_expire_all_can_be_for_later(api: AsyncClient, application: str) -> None:
    bearer = await granted(api, application)

    await api.post(f"/auth/app/{application}/expire-all", json={"expiry": 3600})

    assert await status(api, "GET", f"/app/{application}", bearer) == 200


async def test_another_applications_tokens_are_left_alone(api: AsyncClient, application: str) -> None:
    await api.post("/app", json={"name": "n", "uid": "neighbour"})
    bearer = await granted(api, "neighbour")

    await api.post(f"/auth/app/{application}/expire-all", json={})

    assert await status(api, "GET", "/app/neighbour", bearer) == 200


async def test_a_refreshed_token_is_of_the_same_kind_and_the_old_one_has_ended(
    api: AsyncClient, application: str, endpoint: str
) -> None:
    old = await granted(api, application, capabilities=["ViewBase", "ViewEndpointSecret"], sessionId="s")

    answer = await api.post("/auth/refresh", headers=old)
    fresh = {"authorization": f"Bearer {answer.json()['token']}"}

    assert await status(api, "GET", endpoint, old) == 401
    assert await status(api, "GET", f"{endpoint}/secret", fresh) == 200
    assert await status(api, "DELETE", endpoint, fresh) == 403
    await api.post(f"/auth/app/{application}/expire-all", json={"sessionIds": ["s"]})
    assert await status(api, "GET", endpoint, fresh) == 401


async def test_what_another_process_ended_a_moment_ago_is_not_refreshed(
    services: Services, api: AsyncClient, application: str
) -> None:
    bearer = await granted(api, application)
    found = (await api.get(f"/app/{application}")).json()
    async with services.sessions() as session:
        work = services.unit_of_work(session)
        elsewhere = Revocations(ORG, work.revocations, clock=SystemClock(), new_id=new_id)
        await elsewhere.expire_all(found["id"], sessions=(), after=timedelta())
        await work.commit()

    answer = await api.post("/auth/refresh", headers=bearer)

    assert answer.status_code == 401


async def test_a_token_that_was_refreshed_elsewhere_ends_with_the_one_it_came_from(
    api: AsyncClient, application: str
) -> None:
    app_id = (await api.get(f"/app/{application}")).json()["id"]
    await api.post(f"/auth/app/{application}/expire-all", json={})
    now = datetime.now(UTC)

    def bearer(granted_at: datetime) -> dict[str, str]:
        grant = Grant(granted_at=granted_at.timestamp())
        return {"authorization": f"Bearer {TOKENS.mint_for_application(app_id, ORG, now=now, grant=grant)}"}

    assert await status(api, "GET", f"/app/{application}", bearer(now - timedelta(minutes=1))) == 401
    assert await status(api, "GET", f"/app/{application}", bearer(now)) == 200


async def test_another_process_learns_of_it_by_looking(postgres: Database, api: AsyncClient, application: str) -> None:
    other = Verifier(TOKENS, revocations=RememberedRevocations(postgres.pool), clock=SystemClock())
    await other.refresh()
    tokens = [(await granted(api, application))["authorization"].removeprefix("Bearer ") for _ in range(2)]
    for token in tokens:
        assert await other.verify(token)

    await api.post("/auth/logout", headers={"authorization": f"Bearer {tokens[0]}"})
    await other.refresh()

    with pytest.raises(NotAuthenticated):
        await other.verify(tokens[0])
    assert await other.verify(tokens[1])


async def test_a_process_that_starts_later_knows_of_it(postgres: Database, api: AsyncClient, application: str) -> None:
    bearer = await granted(api, application)
    await api.post("/auth/logout", headers=bearer)

    started = Verifier(TOKENS, revocations=RememberedRevocations(postgres.pool), clock=SystemClock())
    await started.refresh()

    with pytest.raises(NotAuthenticated):
        await started.verify(bearer["authorization"].removeprefix("Bearer "))


@pytest.mark.usefixtures("app")
@pytest.mark.own_database
async def test_no_request_asks_the_database_about_tokens(api: AsyncClient, postgres: Database) -> None:
    token = TOKENS.mint_for_application(
        ApplicationId("app_000000000000000000000000001"), ORG, now=datetime.now(UTC), grant=Grant()
    )
    verifier = Verifier(TOKENS, revocations=RememberedRevocations(postgres.pool), clock=SystemClock())
    await postgres.pool.close()

    assert (await verifier.verify(token)).org_id == ORG


async def test_a_token_that_is_kept_for_its_idempotency_key_is_sealed(
    postgres: Database, api: AsyncClient, application: str
) -> None:
    answers: list[Response] = [
        await api.post(f"/auth/app-portal-access/{application}", json={}, headers={"idempotency-key": "the same"})
        for _ in range(2)
    ]

    tokens = {answer.json()["token"] for answer in answers}
    kept = await postgres.pool.fetchval("SELECT body FROM idempotency_key")

    assert len(tokens) == 1
    assert kept
    assert b"token" not in kept
    assert tokens.pop().encode() not in kept


async def test_of_thirty_refreshes_of_one_token_at_once_one_succeeds(api: AsyncClient, application: str) -> None:
    old = await granted(api, application)

    answers = await asyncio.gather(*(api.post("/auth/refresh", headers=old) for _ in range(30)))

    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 29]
    (fresh,) = [answer.json()["token"] for answer in answers if answer.is_success]
    assert await status(api, "GET", f"/app/{application}", {"authorization": f"Bearer {fresh}"}) == 200


async def test_a_token_ends_once_however_it_is_ended(api: AsyncClient, application: str) -> None:
    old = await granted(api, application)

    answers = await asyncio.gather(
        *(api.post(f"/auth/{act}", headers=old) for act in ("refresh", "logout") for _ in range(5))
    )

    assert len([answer for answer in answers if answer.is_success]) == 1
    assert {answer.status_code for answer in answers if not answer.is_success} == {401}


async def test_tokens_end_with_their_application_at_every_process(
    postgres: Database, api: AsyncClient, application: str
) -> None:
    other = Verifier(TOKENS, revocations=RememberedRevocations(postgres.pool), clock=SystemClock())
    await other.refresh()
    bearer = await granted(api, application)

    await api.delete(f"/app/{application}")
    await api.post("/app", json={"name": "another of that name", "uid": application})
    await other.refresh()

    assert await status(api, "GET", "/event-type", bearer) == 401
    assert await status(api, "POST", "/auth/refresh", bearer) == 401
    with pytest.raises(NotAuthenticated):
        await other.verify(bearer["authorization"].removeprefix("Bearer "))
    assert await status(api, "GET", "/event-type", await granted(api, application)) == 200


LONGEST_FLAGS = [f"{number:0255}." for number in range(5)] + ["f" * 220]


@pytest.mark.parametrize(
    "grant",
    [
        {"featureFlags": LONGEST_FLAGS, "sessionId": "\U0001f511" * 256},
        {"featureFlags": [f"{number:015}" for number in range(100)], "sessionId": '"' * 256},
    ],
    ids=["the longest", "the most"],
)
async def test_whatever_is_given_out_is_taken_from_the_largest_organisation_too(
    app: FastAPI, grant: dict[str, Any]
) -> None:
    longest = OrgId(ids.ORGANISATION + "o" * 252)
    async with serving(app, token=TOKENS.mint(longest, now=datetime.now(UTC))) as api:
        await api.post("/app", json={"name": "a", "uid": "a"})

        bearer = await granted(api, "a", **grant)
        fresh = (await api.post("/auth/refresh", headers=bearer)).json()["token"]

        assert await status(api, "GET", "/app/a", {"authorization": f"Bearer {fresh}"}) == 200


@pytest.mark.parametrize(
    "flags", [["f" * 256] * 6, [f"{number:0256}" for number in range(100)], ["f" * 15] * 101, ["f" * 257]]
)
async def test_flags_that_no_token_could_hold_are_refused(api: AsyncClient, application: str, flags: list[str]) -> None:
    answer = await api.post(f"/auth/app-portal-access/{application}", json={"featureFlags": flags})

    assert answer.status_code == 422


async def test_who_refreshes_without_end_is_stopped_and_all_can_be_ended_at_once(
    postgres: Database, api: AsyncClient, application: str
) -> None:
    bearer = await granted(api, application)
    app_id = (await api.get(f"/app/{application}")).json()["id"]
    await postgres.pool.execute(
        "INSERT INTO revocation (id, org_id, app_id, token_id, issued_before, effective_at, forgettable_at)"
        " SELECT 'rev_' || n, $1, $2, n::text, now(), now(), now() + interval '1 hour' FROM generate_series(1, $3) n",
        ORG,
        app_id,
        MAX_REVOCATIONS,
    )

    stopped = await api.post("/auth/refresh", headers=bearer)
    sessions = await api.post(f"/auth/app/{application}/expire-all", json={"sessionIds": ["s"]})
    leaving = await api.post("/auth/logout", headers=bearer)
    everybody = await api.post(f"/auth/app/{application}/expire-all", json={})

    assert (stopped.status_code, stopped.json()["code"]) == (400, "limit_reached")
    assert (sessions.status_code, sessions.json()["code"]) == (400, "limit_reached")
    assert (leaving.status_code, everybody.status_code) == (204, 204)
    assert await postgres.pool.fetchval("SELECT count(*) FROM revocation") == 2  # the last logout is too young to go
    assert (await api.post("/auth/refresh", headers=await granted(api, application))).status_code == 200
