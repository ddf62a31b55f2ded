"""Bodies of requests and responses for tokens of the organisation."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from service.api.schemas.rules import Received, Shown, Time
from service.application.tokens import IssuedToken, NewToken
from service.domain.limits import MAX_NAME_CHARACTERS
from service.domain.tokens import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    MIN_LIFETIME,
    OrganisationToken,
    Role,
    is_token_name,
)

_MIN_LIFETIME_S, _DEFAULT_LIFETIME_S, _MAX_LIFETIME_S = (
    int(lifetime.total_seconds()) for lifetime in (MIN_LIFETIME, DEFAULT_LIFETIME, MAX_LIFETIME)
)


def _readable(name: str) -> str:
    if not is_token_name(name):
        raise ValueError("A name has no characters that control a terminal.")
    return name


Lifetime = Annotated[
    int,
    Field(ge=_MIN_LIFETIME_S, le=_MAX_LIFETIME_S, strict=True),
    BeforeValidator(lambda value: _DEFAULT_LIFETIME_S if value is None else value),
]
TokenName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS),
    AfterValidator(_readable),
    Field(examples=["the billing service"]),
]
TokenIdOut = Annotated[str, Field(examples=["tok_1srOrx2ZWZBpBUvZwXKQmoEYga2"])]


class OrganisationTokenIn(Received):
    """What the token is for, what it shall allow, and for how many seconds."""

    name: TokenName
    role: Role = Field(examples=["reader"])
    expiry: Lifetime = Field(
        default=_DEFAULT_LIFETIME_S, description="Seconds until the token ends.", examples=[_DEFAULT_LIFETIME_S]
    )

    def new(self) -> NewToken:
        """The body as the application layer's NewToken."""
        return NewToken(name=self.name, role=self.role, lifetime=timedelta(seconds=self.expiry))


class OrganisationTokenOut(Shown):
    """A token as it is listed. `tokenId` is what the audit trail calls it by; of the token itself nothing is kept."""

    id: TokenIdOut
    name: str = Field(examples=["the billing service"])
    role: Role = Field(examples=["reader"])
    token_id: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015"])
    created_at: Time
    expires_at: Time
    revoked_at: Time | None = Field(default=None, description="When it was ended before its time.")

    @classmethod
    def of(cls, token: OrganisationToken) -> "OrganisationTokenOut":
        """The response for a token."""
        return cls(**_fields(token))


class OrganisationTokenCreatedOut(OrganisationTokenOut):
    """A token that was just made. Nobody can show it again."""

    token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl"])

    @classmethod
    def issued(cls, made: IssuedToken) -> "OrganisationTokenCreatedOut":
        """The response for a token that was just created."""
        return cls(**_fields(made.token), token=made.text)


def _fields(token: OrganisationToken) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "token_id": token.digest,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }
