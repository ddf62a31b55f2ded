"""What an OrganisationTokenRepository does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from service.adapters.machine.clock import new_id
from service.application.ports.pages import PageRequest
from service.domain import ids
from service.domain.ids import OrgId
from service.domain.tokens import OrganisationToken, TokenId
from tests.contracts.conftest import BeginKept
from tests.support.kept import NOW

DAY = timedelta(days=1)
STRANGER = OrgId("org_000000000000000000000000002")


def a_token(org_id: OrgId, **changed: Any) -> OrganisationToken:
    values: dict[str, Any] = {
        "id": TokenId(new_id(ids.TOKEN)),
        "org_id": org_id,
        "name": "deploys",
        "role": "writer",
        "digest": "a-digest",
        "created_at": NOW,
        "expires_at": NOW + DAY,
    }
    return OrganisationToken(**(values | changed))


async def test_a_token_is_found_and_listed_in_its_organisation(kept: BeginKept) -> None:
    org = OrgId("org_listed")
    tokens = [a_token(org, name=name) for name in ("a", "b")]
    async with kept() as work:
        for token in tokens:
            await work.tokens.add(token)

    async with kept() as work:
        assert await work.tokens.get(org, tokens[0].id) == tokens[0]
        assert await work.tokens.get(STRANGER, tokens[0].id) is None
        page = await work.tokens.page(org, PageRequest(ascending=True))
        assert sorted(page.items, key=lambda token: token.name) == tokens
        assert (await work.tokens.page(STRANGER, PageRequest())).items == []


async def test_a_token_is_revoked_once_and_stays_in_the_list(kept: BeginKept) -> None:
    token = a_token(OrgId("org_revoked"))
    async with kept() as work:
        await work.tokens.add(token)

    async with kept() as work:
        await work.tokens.revoke(token, at=NOW + DAY / 2)
        await work.tokens.revoke(token, at=NOW + DAY)

    async with kept() as work:
        assert await work.tokens.get(token.org_id, token.id) == replace(token, revoked_at=NOW + DAY / 2)


async def test_those_that_have_expired_make_room(kept: BeginKept) -> None:
    org = OrgId("org_expired")
    async with kept() as work:
        await work.tokens.add(a_token(org))
        await work.tokens.add(a_token(org, expires_at=NOW + 2 * DAY))
        assert await work.tokens.has(org, at_least=2)
        assert not await work.tokens.has(org, at_least=3)

        await work.tokens.forget(org, expired_before=NOW + DAY + timedelta(seconds=1))

        assert await work.tokens.has(org, at_least=1)
        assert not await work.tokens.has(org, at_least=2)
        assert not await work.tokens.has(STRANGER, at_least=1)
