"""Ed25519 keys, by the `cryptography` library. A key is 64 bytes: the 32-byte seed, then the 32-byte public key."""

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.domain.signatures import SEED_BYTES

CACHED_KEYS = 4096


class Ed25519:
    """Fulfils `ports.KeyPairs`."""

    def __init__(self) -> None:
        # Cached, since deriving a key from its seed costs as much as signing with it.
        self._opened = lru_cache(maxsize=CACHED_KEYS)(Ed25519PrivateKey.from_private_bytes)

    def new(self) -> bytes:
        """A new random key."""
        private = Ed25519PrivateKey.generate()
        return private.private_bytes_raw() + private.public_key().public_bytes_raw()

    def holds(self, key: bytes) -> bool:
        """Whether the public key belongs to the seed."""
        return self._opened(key[:SEED_BYTES]).public_key().public_bytes_raw() == key[SEED_BYTES:]

    def sign(self, key: bytes, text: bytes) -> bytes:
        """The 64-byte signature of the text."""
        return self._opened(key[:SEED_BYTES]).sign(text)
