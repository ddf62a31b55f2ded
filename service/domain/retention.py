"""How long things are kept, where no setting says otherwise."""

from datetime import datetime, timedelta

from service.domain.limits import LATEST

KEYS_KEPT = timedelta(hours=12)  # a request under an idempotency key is the same request for so long
# Payloads, where a message does not say less, which it may by the hour or the day. No list reaches further back.
PAYLOADS_KEPT = timedelta(days=90)
MESSAGES_KEPT = PAYLOADS_KEPT + timedelta(weeks=1)  # and what became of them: they are dropped by the week
AUDIT_KEPT = timedelta(days=365)
# Who has been well for so long rests as if for the first time; beyond the burst, a throttle's row says what none says.
RESTS_KEPT = THROTTLES_KEPT = timedelta(hours=1)


def payload_expiry(
    accepted_at: datetime, deliver_at: datetime | None = None, *, kept: timedelta = PAYLOADS_KEPT
) -> datetime:
    """Until when a payload is kept: for so long from when it is first sent, now or within the time it may wait."""
    first_sent = max(accepted_at, deliver_at or accepted_at)
    return min(first_sent, accepted_at + LATEST) + kept
