"""Verifies a caller's token: one of ours, or one of the trusted issuer, unless it was revoked."""

from service.adapters.access.issuers import Issuer
from service.adapters.access.tokens import Tokens
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.application.access import Caller
from service.application.ports.machine import Clock
from service.domain.errors import NotAuthenticated


class Verifier:
    """Fulfils `access.TokenVerifier`. Verifying costs no query; revocations are kept in memory and refreshed."""

    def __init__(
        self, tokens: Tokens, *, revocations: RememberedRevocations, clock: Clock, issuer: Issuer | None = None
    ) -> None:
        self._tokens = tokens
        self._revocations = revocations
        self._clock = clock
        self._issuer = issuer

    async def verify(self, token: str) -> Caller:
        """The caller that the token authenticates. NotAuthenticated when it is invalid or revoked."""
        caller = await self._caller_of(token)
        self.refuse_revoked(caller)
        return caller

    def refuse_revoked(self, caller: Caller) -> None:
        """NotAuthenticated when the caller's token was revoked."""
        if self._is_revoked(caller):
            raise NotAuthenticated

    async def confirm(self, caller: Caller) -> None:
        """Check again after reading the latest revocations. Raises NotAuthenticated, Unavailable."""
        await self.refresh()
        self.refuse_revoked(caller)

    async def refresh(self) -> None:
        """Read the latest revocations from the database."""
        await self._revocations.refresh(now=self._clock.now())

    async def _caller_of(self, token: str) -> Caller:
        try:
            return self._tokens.verify(token)
        except NotAuthenticated:
            if self._issuer is None:
                raise
            return await self._issuer.verify(token)

    def _is_revoked(self, caller: Caller) -> bool:
        credential = caller.credential
        if credential is None:
            return False
        return self._revocations.cover(
            caller.app_id or caller.org_id,
            token_id=credential.id,
            session_id=credential.session_id,
            # A refreshed token counts as old as the first of its chain, so refreshing does not escape a revocation.
            issued_at=credential.granted_at,
            now=self._clock.now().timestamp(),
        )
