"""How long things are kept, where no setting says otherwise."""

from datetime import timedelta

KEYS_KEPT = timedelta(hours=12)  # a request under an idempotency key is the same request for so long
PAYLOADS_KEPT = timedelta(days=90)  # where a message does not say less, which it may by the hour or the day
MESSAGES_KEPT = timedelta(days=97)  # and what became of them: dropped by the week, so for 90 days at the least
AUDIT_KEPT = timedelta(days=365)
# Who has been well for so long rests as if for the first time; beyond the burst, a throttle's row says what none says.
RESTS_KEPT = THROTTLES_KEPT = timedelta(hours=1)
