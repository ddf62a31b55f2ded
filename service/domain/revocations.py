"""A revocation: which application tokens no longer hold, and from when."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.ids import ApplicationId, OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Ends tokens of one application that were issued before a time: one of them, those of a session, or all.

    It takes effect at `effective_at`, and may be forgotten once no token that it covers can hold any more.
    """

    id: str
    org_id: OrgId
    app_id: ApplicationId
    token_id: str | None
    session_id: str | None
    issued_before: datetime
    effective_at: datetime
    forgettable_at: datetime

    def covers(self, *, token_id: str, session_id: str | None, issued_at: float, now: float) -> bool:
        """Whether a token of the application has ended by `now`; times are seconds since 1970."""
        return (
            self.effective_at.timestamp() <= now
            and issued_at <= self.issued_before.timestamp()
            and self.token_id in {None, token_id}
            and self.session_id in {None, session_id}
        )
