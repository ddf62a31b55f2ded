"""Positions in an application's stream, as callers are told them: iterators, which hold for that application alone."""

import base64
import binascii
import hashlib

from service.domain.ids import ApplicationId

_POSITION_BYTES, _DIGEST_BYTES = 8, 4
_MAX_POSITION = 2**63 - 1  # what a database counts up to


def iterator_of(app_id: ApplicationId, position: int) -> str:
    """The iterator that stands for everything up to the position."""
    said = position.to_bytes(_POSITION_BYTES)
    return base64.urlsafe_b64encode(said + _digest(app_id, said)).decode()


def position_of(app_id: ApplicationId, iterator: str) -> int | None:
    """The position that the iterator stands for; None for a text that is no iterator of this application."""
    try:
        decoded = base64.b64decode(iterator.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    said, digest = decoded[:_POSITION_BYTES], decoded[_POSITION_BYTES:]
    position = int.from_bytes(said)
    return position if position <= _MAX_POSITION and digest == _digest(app_id, said) else None


def _digest(app_id: ApplicationId, said: bytes) -> bytes:
    # It keeps nothing secret: it tells a slip from an iterator.
    return hashlib.blake2b(said, key=app_id.encode(), digest_size=_DIGEST_BYTES).digest()
