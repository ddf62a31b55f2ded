"""Encrypts values that must not be readable in a database dump: AES-256-GCM, keys derived from RELEVO_SECRET_KEYS.

Sealed bytes are: version (1 byte), key identifier (4), nonce (12), ciphertext with its tag. The identifier names the
key, so the first key can be replaced while the old one is still listed behind it.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES


class VaultLocked(Exception):
    """None of the keys opens these bytes, or they were changed."""


class AesVault:
    """Seals with the first of the keys and opens with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        self._ciphers = {_derive(key, b"key id", _KEY_ID_BYTES): AESGCM(_derive(key, b"key", 32)) for key in keys}
        self._newest = next(iter(self._ciphers))

    @property
    def mark(self) -> bytes:
        """The first bytes of everything sealed with the first key: version and key identifier."""
        return _VERSION + self._newest

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and authenticate with the first key and a random nonce."""
        head = self.mark + os.urandom(_NONCE_BYTES)
        return head + self._ciphers[self._newest].encrypt(head[-_NONCE_BYTES:], plain, head)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt. VaultLocked when no key fits or a bit was changed."""
        head, body = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if head[:1] != _VERSION:
            raise VaultLocked("These bytes were not sealed by this release or an earlier one.")
        cipher = self._ciphers.get(head[1 : 1 + _KEY_ID_BYTES])
        if cipher is None:
            raise VaultLocked("A stored secret was sealed with a key that is not among RELEVO_SECRET_KEYS.")
        try:
            return cipher.decrypt(head[-_NONCE_BYTES:], body, head)
        except (InvalidTag, ValueError):
            raise VaultLocked("A stored secret was changed since it was sealed.") from None


def _derive(key: str, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=b"relevo vault " + purpose).derive(key.encode())
