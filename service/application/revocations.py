"""Use cases of revocations: ending tokens before they expire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.application.access import Caller, Credential
from service.application.ports.machine import Clock, NewId
from service.application.ports.repositories import RevocationRepository
from service.domain import ids
from service.domain.errors import LimitReached, NotAllowed, NotAuthenticated
from service.domain.ids import ApplicationId, OrgId
from service.domain.limits import CLOCK_TOLERANCE
from service.domain.revocations import MAX_REVOCATIONS, Revocation
from service.domain.tokens import APPLICATION_LIFETIME, MAX_LIFETIME, OrganisationToken

_TOO_MANY = "Too many tokens of this application were revoked one by one. Revoke all of them by `expire-all`."
_TOO_MANY_UNLISTED = (
    "Too many tokens of this organisation were revoked one by one. A new RELEVO_JWT_SECRET revokes all of them."
)


@dataclass(frozen=True, slots=True)
class _Own:
    app_id: ApplicationId
    credential: Credential


class Revocations:
    """Revokes tokens of one organisation and of its applications."""

    def __init__(self, org_id: OrgId, revocations: RevocationRepository, *, clock: Clock, new_id: NewId) -> None:
        self._org_id = org_id
        self._revocations = revocations
        self._clock = clock
        self._new_id = new_id

    async def log_out(self, caller: Caller) -> None:
        """Revoke the caller's own token. Raises NotAllowed for an organisation's token, NotAuthenticated for a revoked
        one."""
        own = _own_token(caller)
        now = self._clock.now()
        ended = await self._revocations.add(
            Revocation(
                # An id made of the token's, so that of concurrent requests with the same token only one succeeds.
                id=f"{ids.REVOCATION}{own.credential.id}",
                org_id=self._org_id,
                app_id=own.app_id,
                token_id=own.credential.id,
                session_id=None,
                # The clock of the process that issued the token may be ahead.
                issued_before=now + CLOCK_TOLERANCE,
                effective_at=now,
                forgettable_at=datetime.fromtimestamp(own.credential.expires_at, UTC) + CLOCK_TOLERANCE,
            )
        )
        if not ended:
            raise NotAuthenticated

    async def give_up(self, caller: Caller) -> ApplicationId:
        """Revoke the caller's own token before it is refreshed; returns its application. As `log_out`; LimitReached."""
        app_id = _own_token(caller).app_id
        await self._refuse_too_many(app_id)
        await self.log_out(caller)
        return app_id

    async def expire_all(self, app_id: ApplicationId, *, sessions: Sequence[str], after: timedelta) -> None:
        """Revoke all tokens that the application has now, or those of some sessions, once `after` is over. Raises
        LimitReached; revoking all at once is always possible and replaces earlier revocations."""
        now = self._clock.now()
        if sessions or after:
            await self._refuse_too_many(app_id)
        else:
            await self._revocations.forget(app_id, issued_before=now)
        for session_id in sessions or (None,):
            await self._end(app_id, session_id=session_id, issued_before=now, effective_at=now + after)

    async def end(self, app_id: ApplicationId) -> None:
        """Revoke all tokens of a deleted application, including those that are being made at this moment."""
        now = self._clock.now()
        await self._revocations.forget(app_id, issued_before=now)
        await self._end(app_id, session_id=None, issued_before=now + APPLICATION_LIFETIME, effective_at=now)

    async def end_token(self, token: OrganisationToken) -> None:
        """Revoke one listed token of the organisation itself."""
        await self._end_one(token.digest, until=token.expires_at)

    async def end_unlisted(self, digest: str) -> None:
        """Revoke a token of the organisation itself that is not listed, by its digest. Raises LimitReached."""
        if await self._revocations.has(self._org_id, at_least=MAX_REVOCATIONS):
            raise LimitReached(_TOO_MANY_UNLISTED)
        await self._end_one(digest, until=self._clock.now() + MAX_LIFETIME)

    async def _end_one(self, digest: str, *, until: datetime) -> None:
        await self._revocations.add(
            Revocation(
                # With the organisation in the id, since another organisation may revoke the same digest.
                id=f"{ids.REVOCATION}{self._org_id}.{digest}",
                org_id=self._org_id,
                app_id=None,
                token_id=digest,
                session_id=None,
                issued_before=until,
                effective_at=self._clock.now(),
                forgettable_at=until + CLOCK_TOLERANCE,
            )
        )

    async def _end(
        self, app_id: ApplicationId, *, session_id: str | None, issued_before: datetime, effective_at: datetime
    ) -> None:
        now = self._clock.now()
        await self._revocations.add(
            Revocation(
                id=self._new_id(ids.REVOCATION, at=now),
                org_id=self._org_id,
                app_id=app_id,
                token_id=None,
                session_id=session_id,
                issued_before=issued_before,
                effective_at=effective_at,
                forgettable_at=now + APPLICATION_LIFETIME + CLOCK_TOLERANCE,
            )
        )

    async def _refuse_too_many(self, app_id: ApplicationId) -> None:
        if await self._revocations.has(app_id, at_least=MAX_REVOCATIONS):
            raise LimitReached(_TOO_MANY)


def _own_token(caller: Caller) -> _Own:
    if caller.app_id is None or caller.credential is None:
        raise NotAllowed
    return _Own(caller.app_id, caller.credential)
