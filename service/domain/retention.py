"""How long things are kept, where no setting says otherwise."""

from datetime import timedelta

KEYS_KEPT = timedelta(hours=12)  # a request under an idempotency key is the same request for so long
MESSAGES_KEPT = timedelta(days=97)  # and what became of them: dropped by the week
