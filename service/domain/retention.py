"""How long things are kept, but for idempotency keys, whose module says so."""

from datetime import datetime, timedelta

from service.domain.limits import MAX_DELIVERY_DELAY

# Payloads, unless a message asks for less (in hours or days). No list reaches further back.
PAYLOADS_KEPT = timedelta(days=90)
MESSAGES_KEPT = PAYLOADS_KEPT + timedelta(weeks=1)  # and their attempts; dropped in weekly partitions
AUDIT_KEPT = timedelta(days=365)
# After this time without use, a row of either kind says no more than no row: rests begin anew, a throttle is full.
RESTS_KEPT = THROTTLES_KEPT = timedelta(hours=1)


def payload_expiry(
    accepted_at: datetime, deliver_at: datetime | None = None, *, kept: timedelta = PAYLOADS_KEPT
) -> datetime:
    """When a payload is removed: `kept` after its first possible attempt, which is at `deliver_at` or at once."""
    first_sent = max(accepted_at, deliver_at or accepted_at)
    return min(first_sent, accepted_at + MAX_DELIVERY_DELAY) + kept
