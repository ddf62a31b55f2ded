"""Bodies of requests and responses for tokens of applications."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from service.api.schemas.applications import ApplicationIn
from service.api.schemas.rules import FeatureFlag, Received, Shown, Text
from service.application.access import EVERY_CAPABILITY, Capability, Grant
from service.domain.limits import MAX_FLAGS_BYTES, MAX_GRANTED_VALUES, MAX_SESSION_CHARACTERS
from service.domain.tokens import MAX_PORTAL_LIFETIME, MIN_PORTAL_LIFETIME

_MIN_LIFETIME_S, _MAX_LIFETIME_S = (
    int(lifetime.total_seconds()) for lifetime in (MIN_PORTAL_LIFETIME, MAX_PORTAL_LIFETIME)
)
_EXAMPLE = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl"

Lifetime = Annotated[
    int,
    Field(ge=_MIN_LIFETIME_S, le=_MAX_LIFETIME_S, strict=True),
    BeforeValidator(lambda value: _MAX_LIFETIME_S if value is None else value),
]
SessionId = Annotated[
    Text, StringConstraints(min_length=1, max_length=MAX_SESSION_CHARACTERS), Field(examples=["user-7"])
]


class AppPortalAccessIn(Received):
    """What the token shall allow, by default all that an application may do, and for how many seconds."""

    capabilities: list[Capability] | None = Field(
        default=None, max_length=MAX_GRANTED_VALUES, examples=[["ViewBase", "CreateAttempts"]]
    )
    expiry: Lifetime = _MAX_LIFETIME_S
    feature_flags: list[FeatureFlag] | None = Field(default=None, max_length=MAX_GRANTED_VALUES)
    read_only: bool | None = Field(default=None, strict=True, description="Whether to grant no more than `ViewBase`.")
    session_id: SessionId | None = None
    application: ApplicationIn | None = None

    @model_validator(mode="after")
    def _base_is_there(self) -> Self:
        if self.capabilities is not None and "ViewBase" not in self.capabilities:
            raise ValueError("The capability ViewBase is always required.")
        return self

    @model_validator(mode="after")
    def _flags_fit_into_a_token(self) -> Self:
        if sum(map(len, self.feature_flags or ())) > MAX_FLAGS_BYTES:
            raise ValueError(f"Feature flags are limited to {MAX_FLAGS_BYTES} characters in all.")
        return self

    def grant(self) -> Grant:
        """The body as the application layer's Grant."""
        capabilities = EVERY_CAPABILITY if self.capabilities is None else frozenset(self.capabilities)
        return Grant(
            capabilities=capabilities & {"ViewBase"} if self.read_only else capabilities,
            feature_flags=None if self.feature_flags is None else frozenset(self.feature_flags),
            session_id=self.session_id,
            lifetime=timedelta(seconds=self.expiry),
        )


class AppPortalAccessOut(Shown):
    """A token for one application, and where a person can use it."""

    url: str = Field(examples=[f"https://relevo.example.com/console/portal#token={_EXAMPLE}"])
    token: str = Field(examples=[_EXAMPLE])


class ApplicationTokenExpireIn(Received):
    """Whose tokens shall end: those of some sessions or all; and in how many seconds."""

    expiry: Annotated[
        int, Field(ge=0, le=_MAX_LIFETIME_S, strict=True), BeforeValidator(lambda value: 0 if value is None else value)
    ] = 0
    session_ids: list[SessionId] | None = Field(default=None, max_length=MAX_GRANTED_VALUES)
