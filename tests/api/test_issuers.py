"""Callers with a token of an OpenID Connect issuer, beside those with a token of ours."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from httpx import AsyncClient

from service.adapters.access.issuers import Issuer, Trust
from service.adapters.access.verifier import Verifier
from service.adapters.machine.clock import SystemClock
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.server.database import Database
from service.api.services import Services
from tests.api.conftest import TOKENS
from tests.support.factories import ORG
from tests.support.issuer import IssuerStub, Key, new_rsa_key, running_issuer, signed
from tests.support.patience import patient

STRANGER = "org_000000000000000000000000002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """The issuer that the API trusts, and its key."""

    stub: IssuerStub
    key: Key

    def bearer(self, *, role: str, org: str = ORG) -> dict[str, str]:
        """The headers of somebody whom the issuer knows."""
        expires = datetime.now(UTC).timestamp() + 60
        claims = {"iss": self.stub.url, "aud": "relevo", "exp": expires, "org": org, "role": role}
        return {"authorization": f"Bearer {signed(claims, kid='k', key=self.key, algorithm='RS256')}"}


@pytest.fixture
async def trusted() -> AsyncIterator[Trusted]:
    key = new_rsa_key()
    async with running_issuer() as stub:
        stub.publish("k", key)
        yield Trusted(stub=stub, key=key)


@pytest.fixture
def patience() -> float:
    """Seconds that the issuer has to tell its keys."""
    return patient(5)


@pytest.fixture
async def services(
    services: Services, trusted: Trusted, postgres: Database, patience: float
) -> AsyncIterator[Services]:
    trust = Trust(issuer=trusted.stub.url, audience="relevo", org_claim="org", role_claim="role")
    async with AsyncClient(trust_env=False) as client:
        issuer = Issuer(client, trust, clock=SystemClock(), timeout=patience)
        revocations = RememberedRevocations(postgres.pool)
        yield replace(services, access=Verifier(TOKENS, revocations=revocations, clock=SystemClock(), issuer=issuer))


async def test_roles_and_organisations_of_the_issuer_count(api: AsyncClient, trusted: Trusted) -> None:
    asked = {
        ("reader", "GET /app"): await api.get("/app", headers=trusted.bearer(role="reader")),
        ("reader", "POST /app"): await api.post("/app", json={"name": "n"}, headers=trusted.bearer(role="reader")),
        ("writer", "POST /app"): await api.post("/app", json={"name": "n"}, headers=trusted.bearer(role="writer")),
        ("writer", "GET /audit"): await api.get("/audit", headers=trusted.bearer(role="writer")),
        ("admin", "GET /audit"): await api.get("/audit", headers=trusted.bearer(role="admin")),
        ("nobody", "GET /app"): await api.get("/app", headers=trusted.bearer(role="nobody")),
    }
    elsewhere = await api.get("/app", headers=trusted.bearer(role="admin", org=STRANGER))

    assert {of: answer.status_code for of, answer in asked.items()} == {
        ("reader", "GET /app"): 200,
        ("reader", "POST /app"): 403,
        ("writer", "POST /app"): 201,
        ("writer", "GET /audit"): 403,
        ("admin", "GET /audit"): 200,
        ("nobody", "GET /app"): 401,
    }
    assert (len((await api.get("/app")).json()["data"]), elsewhere.json()["data"]) == (1, [])


@pytest.mark.parametrize(("fault", "patience"), [("broken", patient(5)), ("silent", 0.1)])
async def test_an_issuer_that_is_down_keeps_nobody_out_but_its_own_who_may_try_again(
    api: AsyncClient, trusted: Trusted, fault: str
) -> None:
    setattr(trusted.stub, fault, True)

    theirs = await api.get("/app", headers=trusted.bearer(role="admin"))
    nobodys = await api.get("/app", headers={"authorization": "Bearer x"})
    ours = await api.get("/app")

    assert (theirs.status_code, theirs.json()["code"]) == (503, "unavailable")
    assert "issuer" in theirs.json()["detail"]
    assert int(theirs.headers["retry-after"]) > 0
    assert (nobodys.status_code, nobodys.json()["code"]) == (401, "authentication_failed")
    assert ours.status_code == 200
