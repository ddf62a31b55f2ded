"""Tokens of an organisation: made with a name and a role, shown once, listed, and ended."""

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.access.verifier import Verifier
from service.adapters.machine.clock import SystemClock
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.server.database import Database
from service.domain.errors import NotAuthenticated
from service.domain.ids import OrgId
from service.domain.revocations import MAX_REVOCATIONS
from service.domain.tokens import MAX_TOKENS
from tests.api.conftest import TOKENS
from tests.support.factories import ORG

A_DAY = 86_400


async def made(api: AsyncClient, **said: Any) -> dict[str, Any]:
    answer = await api.post("/auth/token", json={"name": "ci", "role": "reader", **said})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def bearer(token: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {token['token']}"}


async def test_a_token_is_shown_once_and_listed_ever_after(api: AsyncClient, postgres: Database) -> None:
    first, second = await made(api), await made(api, name="deploy", role="admin", expiry=A_DAY)

    listed = (await api.get("/auth/token")).json()
    read = (await api.get(f"/auth/token/{first['id']}")).json()
    rows = await postgres.pool.fetch("SELECT t::text AS whole FROM organisation_token t")

    parts = [token.pop("token").split(".") for token in (first, second)]
    assert [len(each) for each in parts] == [3, 3]
    assert listed["data"] == [second, first]
    assert read == first
    assert {name: second[name] for name in ("name", "role", "revokedAt")} == {
        "name": "deploy",
        "role": "admin",
        "revokedAt": None,
    }
    assert datetime.fromisoformat(second["expiresAt"]) - datetime.fromisoformat(second["createdAt"]) == timedelta(
        days=1
    )
    assert len(rows) == 2
    assert [row for row in rows if any(part in row["whole"] for part in chain(*parts))] == []


@pytest.mark.parametrize("role", ["reader", "writer", "admin"])
async def test_it_may_do_what_its_role_allows(api: AsyncClient, role: str) -> None:
    headers = bearer(await made(api, role=role))

    answers = [
        await api.get("/app", headers=headers),
        await api.post("/app", json={"name": "a"}, headers=headers),
        await api.get("/auth/token", headers=headers),
    ]

    allowed = {"reader": 1, "writer": 2, "admin": 3}[role]
    assert [answer.status_code for answer in answers] == [200, 201, 200][:allowed] + [403] * (3 - allowed)


@pytest.mark.parametrize("seconds", [3600, A_DAY])
async def test_it_holds_until_the_time_that_is_listed_and_no_longer(api: AsyncClient, seconds: int) -> None:
    token = await made(api, expiry=seconds)
    credential = TOKENS.verify(token["token"]).credential

    assert credential is not None
    assert credential.expires_at - credential.issued_at == seconds
    assert abs(datetime.fromisoformat(token["expiresAt"]).timestamp() - credential.expires_at) < 1


async def test_a_revoked_token_ends_here_at_once_and_elsewhere_by_looking(api: AsyncClient, postgres: Database) -> None:
    other = Verifier(TOKENS, revocations=RememberedRevocations(postgres.pool), clock=SystemClock())
    await other.refresh()
    ended, kept = await made(api), await made(api)
    assert (await other.verify(ended["token"])).role == "reader"

    answers = [await api.delete(f"/auth/token/{ended['id']}") for _ in range(2)]
    await other.refresh()

    assert [answer.status_code for answer in answers] == [204, 204]
    assert (await api.get("/app", headers=bearer(ended))).status_code == 401
    assert (await api.get("/app", headers=bearer(kept))).status_code == 200
    with pytest.raises(NotAuthenticated):
        await other.verify(ended["token"])
    assert await other.verify(kept["token"])
    assert (await api.get(f"/auth/token/{ended['id']}")).json()["revokedAt"] is not None


async def test_a_token_of_the_command_line_goes_on_and_is_in_no_list(api: AsyncClient) -> None:
    await api.delete(f"/auth/token/{(await made(api, role='admin'))['id']}")
    printed = TOKENS.mint(ORG, now=datetime.now(UTC))

    answer = await api.get("/auth/token", headers={"authorization": f"Bearer {printed}"})

    assert [token["revokedAt"] is None for token in answer.json()["data"]] == [False]


async def test_a_token_that_is_in_no_list_is_ended_by_the_id_that_the_audit_trail_has_for_it(
    api: AsyncClient, postgres: Database
) -> None:
    later = datetime.now(UTC) - timedelta(seconds=1)
    printed, kept = TOKENS.mint(ORG, now=datetime.now(UTC)), TOKENS.mint(ORG, now=later)
    await api.post("/app", json={"name": "a", "uid": "a"}, headers={"authorization": f"Bearer {printed}"})
    await api.delete("/app/a", headers={"authorization": f"Bearer {printed}"})
    (told,) = [event for event in (await api.get("/audit")).json()["data"] if event["action"] == "application.deleted"]
    stranger = TOKENS.mint(OrgId("org_stranger"), now=datetime.now(UTC))

    by_stranger = await api.delete(f"/auth/token/{told['tokenId']}", headers={"authorization": f"Bearer {stranger}"})
    held = await api.get("/app", headers={"authorization": f"Bearer {printed}"})
    answers = [await api.delete(f"/auth/token/{told['tokenId']}") for _ in range(2)]
    ended, others = [
        (await api.get("/app", headers={"authorization": f"Bearer {token}"})).status_code for token in (printed, kept)
    ]

    assert (by_stranger.status_code, held.status_code) == (204, 200), "it ends nothing of another organisation"
    assert [answer.status_code for answer in answers] == [204, 204]
    assert (ended, others) == (401, 200)
    assert (await api.delete("/auth/token/none")).status_code == 404


async def test_a_listed_token_is_ended_by_that_id_as_well_and_is_listed_as_revoked(api: AsyncClient) -> None:
    token = await made(api)

    await api.delete(f"/auth/token/{token['tokenId']}")

    assert (await api.get("/app", headers=bearer(token))).status_code == 401
    assert (await api.get(f"/auth/token/{token['id']}")).json()["revokedAt"] is not None


async def test_the_tokens_that_are_ended_without_being_listed_are_bounded(api: AsyncClient, postgres: Database) -> None:
    await postgres.pool.execute(
        "INSERT INTO revocation (id, org_id, token_id, issued_before, effective_at, forgettable_at)"
        " SELECT 'rev_' || n, $1, n::text, now(), now(), now() + interval '1 h' FROM generate_series(1, $2) n",
        ORG,
        MAX_REVOCATIONS,
    )

    refused = await api.delete(f"/auth/token/{'a' * 32}")

    assert (refused.status_code, refused.json()["code"]) == (400, "limit_reached")
    assert (await api.delete(f"/auth/token/{(await made(api))['id']}")).status_code == 204


async def test_what_is_done_with_it_is_told_by_the_name_it_is_listed_under(api: AsyncClient) -> None:
    token = await made(api, role="admin")
    await api.post("/auth/token", json={"name": "n", "role": "reader"}, headers=bearer(token))
    await api.delete(f"/auth/token/{token['id']}")

    told = (await api.get("/audit")).json()["data"]

    assert [(event["action"], event["target"]) for event in told][::2] == [
        ("organisation_token.revoked", token["id"]),
        ("organisation_token.created", token["id"]),
    ]
    assert told[1]["tokenId"] == token["tokenId"]


@pytest.mark.parametrize(
    "body",
    [
        {"role": "reader"},
        {"name": "", "role": "reader"},
        {"name": "n" * 257, "role": "reader"},
        {"name": "a\x00b", "role": "reader"},
        {"name": "a\x1b[2J", "role": "reader"},
        {"name": "n"},
        {"name": "n", "role": "owner"},
        {"name": "n", "role": "reader", "expiry": 3599},
        {"name": "n", "role": "reader", "expiry": 3651 * A_DAY},
        {"name": "n", "role": "reader", "expiry": "soon"},
    ],
    ids=str,
)
async def test_what_cannot_be_a_token_is_refused(api: AsyncClient, body: dict[str, Any]) -> None:
    assert (await api.post("/auth/token", json=body)).status_code == 422


async def test_an_organisation_has_a_bounded_number_of_them_and_expired_ones_make_room(
    api: AsyncClient, postgres: Database
) -> None:
    await postgres.pool.execute(
        "INSERT INTO organisation_token SELECT 'tok_' || n, $1, '', 'reader', n::text, now(), now() + interval '1 h'"
        " FROM generate_series(1, $2) n",
        ORG,
        MAX_TOKENS,
    )

    refused = await api.post("/auth/token", json={"name": "n", "role": "reader"})
    await postgres.pool.execute("UPDATE organisation_token SET expires_at = now() WHERE id = 'tok_7'")

    assert (refused.status_code, refused.json()["code"]) == (400, "limit_reached")
    await made(api)
    assert await postgres.pool.fetchval("SELECT count(*) FROM organisation_token") == MAX_TOKENS


async def test_making_one_twice_with_a_key_makes_one(api: AsyncClient) -> None:
    body = {"name": "n", "role": "reader"}

    answers = [await api.post("/auth/token", json=body, headers={"idempotency-key": "k"}) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert len((await api.get("/auth/token")).json()["data"]) == 1
