"""A revocation: which tokens no longer hold, and from when."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.ids import ApplicationId, OrgId

# Every process remembers them all, and an application's token can be refreshed as often as its holder likes.
MOST_REVOCATIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Ends tokens that were issued before a time: one of them, those of a session of an application, or all that the
    application has. Without an application it ends one token of the organisation itself.

    It takes effect at `effective_at`, and may be forgotten once no token that it covers can hold any more.
    """

    id: str
    org_id: OrgId
    app_id: ApplicationId | None
    token_id: str | None
    session_id: str | None
    issued_before: datetime
    effective_at: datetime
    forgettable_at: datetime

    def covers(self, *, token_id: str, session_id: str | None, issued_at: float, now: float) -> bool:
        """Whether a token of the same owner has ended by `now`; times are seconds since 1970."""
        return (
            self.effective_at.timestamp() <= now
            and issued_at <= self.issued_before.timestamp()
            and self.token_id in {None, token_id}
            and self.session_id in {None, session_id}
        )
