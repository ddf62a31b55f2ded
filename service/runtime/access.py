"""Builds the verifier of tokens: our own and those of the issuer in the settings, unless revoked."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

from service.adapters.access.issuers import KEYS_REFRESH_INTERVAL, Issuer, Trust
from service.adapters.access.tokens import Tokens
from service.adapters.access.verifier import Verifier
from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.machine.clock import SystemClock
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.delivery.upkeep import every
from service.runtime.core import Core
from service.settings import Settings

REVOCATIONS_REFRESH_INTERVAL = timedelta(seconds=1)


@asynccontextmanager
async def open_verifier(settings: Settings, core: Core, tokens: Tokens) -> AsyncIterator[Verifier]:
    """The verifier, while the block lasts. Revocations by other processes are known within a second."""
    async with AsyncExitStack() as stack:
        verifier = Verifier(
            tokens,
            revocations=RememberedRevocations(core.database.pool),
            clock=SystemClock(),
            issuer=await stack.enter_async_context(_open_issuer(settings)),
        )
        await verifier.refresh()
        await stack.enter_async_context(every(REVOCATIONS_REFRESH_INTERVAL, verifier.refresh))
        yield verifier


@asynccontextmanager
async def _open_issuer(settings: Settings) -> AsyncIterator[Issuer | None]:
    """The issuer of the settings, with an HTTP client of its own: the issuer may be on a private network, which
    tenants' endpoints must not reach."""
    oidc = settings.oidc
    if oidc.issuer is None or oidc.audience is None:
        yield None
        return
    trust = Trust(issuer=oidc.issuer, audience=oidc.audience, org_claim=oidc.org_claim, role_claim=oidc.role_claim)
    async with open_http_client(Egress([ip_network("0.0.0.0/0"), ip_network("::/0")]), concurrency=1) as client:
        issuer = Issuer(client, trust, clock=SystemClock())
        async with every(KEYS_REFRESH_INTERVAL, issuer.refresh):
            yield issuer
