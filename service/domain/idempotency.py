"""An idempotency key: a caller's promise that two requests under one key are one request.

A key counts for its caller and for what it asks for, as long as `retention` says, and stands for the first request that
was kept under it. What else is said under it meanwhile is refused.
"""

import hashlib
from dataclasses import dataclass

from service.domain.ids import ApplicationId, OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """`scope` is a digest of the caller, what it asks for and the key's text; `fingerprint` is one of what it says."""

    scope: bytes
    fingerprint: bytes

    def repeats(self, first: bytes) -> bool:
        """Whether what is said is what was said first, going by the fingerprint of that."""
        return self.fingerprint == first


def key_of(org_id: OrgId, app_id: ApplicationId | None, *asked: str, key: str, fingerprint: bytes) -> IdempotencyKey:
    """The caller's key. `asked` tells apart what the same caller may do under the same key."""
    parts = (org_id, app_id or "", *asked, key)
    # Each part by its own digest, so that no two lists of parts run together into one text.
    digests = b"".join(hashlib.sha256(part.encode()).digest() for part in parts)
    return IdempotencyKey(scope=hashlib.sha256(digests).digest(), fingerprint=fingerprint)


def fingerprint_of(said: bytes) -> bytes:
    """What is said, byte for byte, as a digest."""
    return hashlib.sha256(said).digest()
