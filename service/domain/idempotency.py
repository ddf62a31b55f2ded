"""An idempotency key: a caller's promise that two requests under one key are the same request.

A key belongs to its caller and operation and is stored for KEYS_KEPT, with the fingerprint of its first request.
Another request under the same key is refused.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from service.domain.ids import ApplicationId, OrgId

KEYS_KEPT = timedelta(hours=12)  # a request under an idempotency key is the same request for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """An organisation's key. `scope` is a digest of caller, operation and the key's text; `fingerprint` is a digest of
    the request's content."""

    org_id: OrgId
    scope: bytes
    fingerprint: bytes

    def repeats(self, first: bytes) -> bool:
        """Whether this is the same request as the first one, by its fingerprint."""
        return self.fingerprint == first


def key_of(org_id: OrgId, app_id: ApplicationId | None, *asked: str, key: str, fingerprint: bytes) -> IdempotencyKey:
    """The caller's key. `asked` are the parts that identify the operation."""
    parts = (org_id, app_id or "", *asked, key)
    # Each part is hashed by itself, so that different lists of parts cannot make the same text.
    digests = b"".join(hashlib.sha256(part.encode()).digest() for part in parts)
    return IdempotencyKey(org_id=org_id, scope=hashlib.sha256(digests).digest(), fingerprint=fingerprint)


def fingerprint_of(said: bytes) -> bytes:
    """The digest of a request's content, byte for byte."""
    return hashlib.sha256(said).digest()
