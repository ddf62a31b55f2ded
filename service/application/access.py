"""The caller and its permissions. How tokens are verified is the adapters' part."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, get_args

from service.domain.errors import NotAllowed
from service.domain.ids import ApplicationId, OrgId
from service.domain.tokens import APPLICATION_LIFETIME, ROLES, Role, TokenId

Capability = Literal[
    "ViewBase",
    "ViewEndpointSecret",
    "ManageEndpointSecret",
    "ManageTransformations",
    "CreateAttempts",
    "ManageEndpoint",
]

EVERY_CAPABILITY: frozenset[Capability] = frozenset(get_args(Capability))

_IMPLIED: dict[Capability, frozenset[Capability]] = {
    "ViewEndpointSecret": frozenset({"ManageEndpointSecret", "ManageEndpoint"}),
    "ManageEndpointSecret": frozenset({"ManageEndpoint"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The public facts of a caller's token. Times are seconds since 1970.

    `granted_at` is when the first token of its chain of refreshes was issued.
    """

    id: str
    issued_at: float
    granted_at: float
    expires_at: float
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An organisation, or with `app_id` one application of it. None as feature flags means that all are on."""

    org_id: OrgId
    app_id: ApplicationId | None = None
    role: Role = "admin"
    capabilities: frozenset[Capability] = EVERY_CAPABILITY
    feature_flags: frozenset[str] | None = None
    credential: Credential | None = field(default=None, compare=False, repr=False)

    def require_organisation(self) -> None:
        """NotAllowed for an application's token."""
        if self.app_id is not None:
            raise NotAllowed

    def require_role(self, least: Role | None) -> None:
        """NotAllowed for an organisation's token below the role `least`; None allows no organisation's token."""
        if least is None or ROLES.index(self.role) < ROLES.index(least):
            raise NotAllowed

    def require(self, *capabilities: Capability) -> None:
        """NotAllowed for an application's token that lacks one of these and any capability that implies it."""
        for capability in capabilities:
            if self.capabilities.isdisjoint({capability, *_IMPLIED.get(capability, ())}):
                raise NotAllowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The permissions of a new application token. `granted_at` (seconds since 1970) is when they were first granted."""

    capabilities: frozenset[Capability] = EVERY_CAPABILITY
    feature_flags: frozenset[str] | None = None
    session_id: str | None = None
    lifetime: timedelta = APPLICATION_LIFETIME
    granted_at: float | None = None

    @classmethod
    def again(cls, caller: Caller) -> "Grant":
        """The same permissions and lifetime as the caller's own token. NotAllowed for an organisation's token."""
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
    """Verifies bearer tokens."""

    async def verify(self, token: str) -> Caller:
        """The caller that the token authenticates. NotAuthenticated for an invalid, expired or revoked token."""
        ...

    def refuse_revoked(self, caller: Caller) -> None:
        """NotAuthenticated when the caller's token was revoked, as far as is known here within a second."""

    async def confirm(self, caller: Caller) -> None:
        """Check again with the latest revocations of all processes. NotAuthenticated when the token was revoked."""

    async def refresh(self) -> None:
        """Read the latest revocations now instead of within a second."""


class TokenIssuer(Protocol):
    """Makes tokens."""

    def mint_for_application(self, app_id: ApplicationId, org_id: OrgId, *, now: datetime, grant: Grant) -> str:
        """A token for one application of an organisation."""
        ...

    def mint_listed(
        self, token_id: TokenId, org_id: OrgId, *, now: datetime, role: Role, lifetime: timedelta
    ) -> tuple[str, str]:
        """A token for a whole organisation, and its digest."""
        ...
