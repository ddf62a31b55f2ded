"""A token of an organisation as it is listed: its name, what it allows and until when. Its text is kept nowhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NewType, get_args

from service.domain.ids import OrgId
from service.domain.limits import LONGEST_NAME

TokenId = NewType("TokenId", str)
Role = Literal["reader", "writer", "admin"]

ROLES: tuple[Role, ...] = get_args(Role)  # the weakest first
SHORTEST_LIFETIME, USUAL_LIFETIME, LONGEST_LIFETIME = timedelta(hours=1), timedelta(days=90), timedelta(days=3650)
# Of an application's, in the customer's browser; it can be refreshed.
SHORTEST_PORTAL_LIFETIME, LONGEST_PORTAL_LIFETIME = timedelta(hours=1), timedelta(days=7)
# However often it is refreshed, so a revocation may be forgotten after it.
APPLICATION_LIFETIME = timedelta(days=28)
DIGEST_LENGTH = 32
# Until they expire, revoked ones count as well: each of them is remembered by every process.
MOST_TOKENS = 1_000


def is_digest(text: str) -> bool:
    """Whether it may be what a token is told apart by, listed or not."""
    return len(text) == DIGEST_LENGTH and set(text) <= set("0123456789abcdef")


def is_token_name(text: str) -> bool:
    """Whether a token may be called so: something that a person reads in a list."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationToken:
    """`digest` tells the token apart from others without being one; the audit trail names it so too."""

    id: TokenId
    org_id: OrgId
    name: str
    role: Role
    digest: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
