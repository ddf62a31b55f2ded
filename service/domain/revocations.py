"""A revocation: which tokens are no longer valid, and from when."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.ids import ApplicationId, OrgId

# Bounded, since every process holds all revocations in memory and a token can be refreshed and revoked at will.
MAX_REVOCATIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Revokes tokens issued before a time: one token, those of one session of an application, or all of an
    application. Without an application it revokes one token of the organisation itself.

    It takes effect at `effective_at`, and may be deleted at `forgettable_at`, when all tokens it covers have expired.
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
        """Whether it revokes this token of the same owner at `now`; times are seconds since 1970."""
        return (
            self.effective_at.timestamp() <= now
            and issued_at <= self.issued_before.timestamp()
            and self.token_id in {None, token_id}
            and self.session_id in {None, session_id}
        )
