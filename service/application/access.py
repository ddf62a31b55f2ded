"""Who is calling, and what they may do. How a token proves it is an adapter's business."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, get_args

from service.application.ports.repositories import RevocationRepository
from service.application.ports.world import Clock, NewId
from service.domain import ids
from service.domain.errors import NotAllowed
from service.domain.ids import ApplicationId, OrgId
from service.domain.revocations import Revocation

Role = Literal["admin", "writer", "reader"]
Capability = Literal[
    "ViewBase",
    "ViewEndpointSecret",
    "ManageEndpointSecret",
    "ManageTransformations",
    "CreateAttempts",
    "ManageEndpoint",
]

EVERY_CAPABILITY: frozenset[Capability] = frozenset(get_args(Capability))
# No token of an application holds longer, however often it is refreshed, so a revocation may be forgotten after it.
APPLICATION_LIFETIME = timedelta(days=28)
CLOCKS_DIFFER = timedelta(minutes=5)

_IMPLIED: dict[Capability, frozenset[Capability]] = {
    "ViewEndpointSecret": frozenset({"ManageEndpointSecret", "ManageEndpoint"}),
    "ManageEndpointSecret": frozenset({"ManageEndpoint"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The token that a caller came with, as far as others may know it. Times are seconds since 1970.

    `granted_at` is when the first token was issued of those that this one was refreshed from.
    """

    id: str
    issued_at: float
    granted_at: float
    expires_at: float
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An organisation, or with `app_id` one application of it. No feature flags means that all are on."""

    org_id: OrgId
    app_id: ApplicationId | None = None
    role: Role = "admin"
    capabilities: frozenset[Capability] = EVERY_CAPABILITY
    feature_flags: frozenset[str] | None = None
    credential: Credential | None = field(default=None, compare=False, repr=False)

    def require_organisation(self) -> None:
        """NotAllowed for a caller who is only an application."""
        if self.app_id is not None:
            raise NotAllowed

    def require_write(self) -> None:
        """NotAllowed for a reader."""
        if self.role == "reader":
            raise NotAllowed

    def require_admin(self) -> None:
        """NotAllowed for anyone but an organisation's admin."""
        if self.role != "admin" or self.app_id is not None:
            raise NotAllowed

    def require(self, capability: Capability) -> None:
        """NotAllowed for an application whose token has neither this capability nor one that includes it."""
        if self.capabilities.isdisjoint({capability, *_IMPLIED.get(capability, ())}):
            raise NotAllowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token for an application is to allow. `granted_at` (seconds since 1970) is when that was first said."""

    capabilities: frozenset[Capability] = EVERY_CAPABILITY
    feature_flags: frozenset[str] | None = None
    session_id: str | None = None
    lifetime: timedelta = APPLICATION_LIFETIME
    granted_at: float | None = None

    @classmethod
    def again(cls, caller: Caller) -> "Grant":
        """What the caller's own token allows, for as long again. NotAllowed for any but an application's."""
        credential = caller.credential
        if caller.app_id is None or credential is None:
            raise NotAllowed
        return cls(
            capabilities=caller.capabilities,
            feature_flags=caller.feature_flags,
            session_id=credential.session_id,
            lifetime=timedelta(seconds=credential.expires_at - credential.issued_at),
            granted_at=credential.granted_at,
        )


class TokenVerifier(Protocol):
    """Tells who a bearer token speaks for."""

    async def verify(self, token: str) -> Caller:
        """NotAuthenticated for a token that does not hold, or no longer."""
        ...

    async def confirm(self, caller: Caller) -> None:
        """NotAuthenticated when the caller's token was revoked by now, wherever that was."""

    async def refresh(self) -> None:
        """Learn now of what was revoked; without it that takes a second."""


class TokenIssuer(Protocol):
    """Makes tokens."""

    def mint_for_application(self, app_id: ApplicationId, org_id: OrgId, *, now: datetime, grant: Grant) -> str:
        """A token for one application of an organisation."""
        ...


class Revocations:
    """Ends tokens of one organisation's applications before their time."""

    def __init__(self, org_id: OrgId, revocations: RevocationRepository, *, clock: Clock, new_id: NewId) -> None:
        self._org_id = org_id
        self._revocations = revocations
        self._clock = clock
        self._new_id = new_id

    async def log_out(self, caller: Caller) -> ApplicationId:
        """End the caller's own token, and tell whose it was. NotAllowed for any but an application's."""
        if caller.app_id is None or caller.credential is None:
            raise NotAllowed
        await self._revoke(caller.app_id, token_id=caller.credential.id)
        return caller.app_id

    async def expire_all(self, app_id: ApplicationId, *, sessions: Sequence[str], after: timedelta) -> None:
        """End every token that the application has by now, or those of some sessions, once `after` is over."""
        for session_id in sessions or (None,):
            await self._revoke(app_id, session_id=session_id, after=after)

    async def _revoke(
        self,
        app_id: ApplicationId,
        *,
        token_id: str | None = None,
        session_id: str | None = None,
        after: timedelta = timedelta(),
    ) -> None:
        now = self._clock.now()
        await self._revocations.add(
            Revocation(
                id=self._new_id(ids.REVOCATION, at=now),
                org_id=self._org_id,
                app_id=app_id,
                token_id=token_id,
                session_id=session_id,
                # A token that another process issued just now may have been issued by a clock that is ahead.
                issued_before=now if token_id is None else now + CLOCKS_DIFFER,
                effective_at=now + after,
                forgettable_at=now + APPLICATION_LIFETIME + CLOCKS_DIFFER,
            )
        )
