"""Use cases of an organisation's listed tokens: create, list, revoke."""

from dataclasses import dataclass
from datetime import timedelta

from service.application.access import TokenIssuer
from service.application.ports.machine import Clock, NewId
from service.application.ports.pages import Page, PageRequest
from service.application.ports.repositories import OrganisationTokenRepository
from service.application.revocations import Revocations
from service.domain import ids
from service.domain.errors import LimitReached, NotFound
from service.domain.ids import OrgId
from service.domain.tokens import MAX_TOKENS, OrganisationToken, Role, TokenId, is_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """The requested fields of a token."""

    name: str
    role: Role
    lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A new token and its text, which cannot be shown again."""

    token: OrganisationToken
    text: str


class OrganisationTokens:
    """The listed tokens of one organisation."""

    def __init__(
        self,
        org_id: OrgId,
        tokens: OrganisationTokenRepository,
        *,
        issuer: TokenIssuer,
        revocations: Revocations,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._org_id = org_id
        self._tokens = tokens
        self._issuer = issuer
        self._revocations = revocations
        self._clock = clock
        self._new_id = new_id

    async def page(self, page: PageRequest) -> Page[OrganisationToken]:
        """One page of them, by time."""
        return await self._tokens.page(self._org_id, page)

    async def get(self, ref: str) -> OrganisationToken:
        """NotFound when no token with this id or digest is listed."""
        token = await self._tokens.get(self._org_id, ref)
        if token is None:
            raise NotFound
        return token

    async def create(self, new: NewToken) -> IssuedToken:
        """Make a token that is valid from now on. Raises LimitReached."""
        now = self._clock.now()
        await self._tokens.forget(self._org_id, expired_before=now)
        if await self._tokens.has(self._org_id, at_least=MAX_TOKENS):
            raise LimitReached(f"An organisation has at most {MAX_TOKENS} tokens that have not expired.")
        token_id = TokenId(self._new_id(ids.TOKEN, at=now))
        text, digest = self._issuer.mint_listed(token_id, self._org_id, now=now, role=new.role, lifetime=new.lifetime)
        token = OrganisationToken(
            id=token_id,
            org_id=self._org_id,
            name=new.name,
            role=new.role,
            digest=digest,
            created_at=now,
            expires_at=now + new.lifetime,
        )
        await self._tokens.add(token)
        return IssuedToken(token=token, text=text)

    async def revoke(self, ref: str) -> None:
        """Revoke the token with this id or digest. A listed one stays in the list until it expires; a digest that is
        not listed is revoked as well. Raises NotFound, LimitReached."""
        token = await self._tokens.get(self._org_id, ref)
        if token is None:
            if not is_digest(ref):
                raise NotFound
            await self._revocations.end_unlisted(ref)
        elif token.revoked_at is None:
            await self._tokens.revoke(token, at=self._clock.now())
            await self._revocations.end_token(token)
