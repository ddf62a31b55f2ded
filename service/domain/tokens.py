"""A listed token of an organisation: name, role and expiry. Its text is not stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NewType, get_args

from service.domain.ids import OrgId
from service.domain.limits import MAX_NAME_CHARACTERS

TokenId = NewType("TokenId", str)
Role = Literal["reader", "writer", "admin"]

ROLES: tuple[Role, ...] = get_args(Role)  # the weakest first
MIN_LIFETIME, DEFAULT_LIFETIME, MAX_LIFETIME = timedelta(hours=1), timedelta(days=90), timedelta(days=3650)
# A portal token, used in a customer's browser; it can be refreshed.
MIN_PORTAL_LIFETIME, MAX_PORTAL_LIFETIME = timedelta(hours=1), timedelta(days=7)
# The limit of refreshing, after which revocations may be deleted.
APPLICATION_LIFETIME = timedelta(days=28)
SESSION_LASTS = timedelta(hours=8)  # of the console, or as long as its token is valid
CLOCK_LEEWAY = timedelta(minutes=1)  # how far the clock of who issued a token may differ from ours
DIGEST_LENGTH = 32
# Revoked tokens count until they expire, since every process holds their revocations in memory.
MAX_TOKENS = 1_000


def is_digest(text: str) -> bool:
    """Whether the text can be a token's digest, listed or not."""
    return len(text) == DIGEST_LENGTH and set(text) <= set("0123456789abcdef")


def is_token_name(text: str) -> bool:
    """Whether a token may have this name: printable text."""
    return 0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationToken:
    """`digest` identifies the token without revealing it; the audit trail uses it as `tokenId`."""

    id: TokenId
    org_id: OrgId
    name: str
    role: Role
    digest: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
