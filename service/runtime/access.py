"""Builds the verifier of tokens (our own and the issuer's, unless revoked), and what signs people in at the issuer."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import ip_network

from httpx import AsyncClient

from service.adapters.access.issuers import KEYS_REFRESH_INTERVAL, Issuer, Trust
from service.adapters.access.openid import OpenIdProvider
from service.adapters.access.tokens import Tokens
from service.adapters.access.verifier import Verifier
from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.machine.clock import SystemClock
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.delivery.upkeep import every
from service.domain.errors import Unavailable
from service.settings import Settings
from service.settings.access import Oidc

REVOCATIONS_REFRESH_INTERVAL = timedelta(seconds=1)


@asynccontextmanager
async def open_verifier(
    settings: Settings, revocations: RememberedRevocations, tokens: Tokens
) -> AsyncIterator[Verifier]:
    """The verifier, while the block lasts. Revocations by other processes are known within a second. Raises Unavailable
    when there is one database and it cannot be asked; of several, the one that is home may answer later."""
    async with AsyncExitStack() as stack:
        verifier = Verifier(
            tokens,
            revocations=revocations,
            clock=SystemClock(),
            issuer=await stack.enter_async_context(_open_issuer(settings)),
        )
        with suppress(*([Unavailable] if settings.several else [])):
            await verifier.refresh()
        await stack.enter_async_context(every(REVOCATIONS_REFRESH_INTERVAL, verifier.refresh))
        yield verifier


@asynccontextmanager
async def open_identity_provider(settings: Settings) -> AsyncIterator[OpenIdProvider | None]:
    """The issuer of the settings as who signs people in, if Relevo is a client of it. Its tokens have the client as
    audience, so that they are verified, and remembered, apart from those that the API takes."""
    oidc = settings.oidc
    if oidc.issuer is None or oidc.client_id is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_open_client())
        issuer = await stack.enter_async_context(_refreshed(client, _trust(oidc, oidc.issuer, oidc.client_id)))
        secret = None if oidc.client_secret is None else oidc.client_secret.get_secret_value()
        yield OpenIdProvider(client, issuer, client_id=oidc.client_id, client_secret=secret)


@asynccontextmanager
async def _open_issuer(settings: Settings) -> AsyncIterator[Issuer | None]:
    """The issuer of the settings."""
    oidc = settings.oidc
    if oidc.issuer is None or oidc.audience is None:
        yield None
        return
    trust = _trust(oidc, oidc.issuer, oidc.audience)
    async with _open_client() as client, _refreshed(client, trust) as issuer:
        yield issuer


def _trust(oidc: Oidc, issuer: str, audience: str) -> Trust:
    return Trust(issuer=issuer, audience=audience, org_claim=oidc.org_claim, role_claim=oidc.role_claim)


def _open_client() -> AbstractAsyncContextManager[AsyncClient]:
    """An HTTP client for issuers alone: one may be on a private network, which tenants' endpoints must not reach."""
    return open_http_client(Egress([ip_network("0.0.0.0/0"), ip_network("::/0")]), concurrency=1)


@asynccontextmanager
async def _refreshed(client: AsyncClient, trust: Trust) -> AsyncIterator[Issuer]:
    issuer = Issuer(client, trust, clock=SystemClock())
    async with every(KEYS_REFRESH_INTERVAL, issuer.refresh):
        yield issuer
