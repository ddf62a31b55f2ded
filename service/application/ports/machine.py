"""Ports of time, identifiers, encryption and key pairs."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The current time, timezone-aware."""

    def now(self) -> datetime: ...


class Vault(Protocol):
    """Encrypts stored secrets, so that the database alone does not reveal them."""

    def seal(self, plain: bytes) -> bytes: ...
    def open(self, sealed: bytes) -> bytes: ...


class KeyPairs(Protocol):
    """Ed25519 keys of 64 bytes: the 32-byte seed, then the 32-byte public key."""

    def new(self) -> bytes: ...
    def holds(self, key: bytes) -> bool:
        """Whether the public key belongs to the seed."""
        ...

    def sign(self, key: bytes, text: bytes) -> bytes: ...


class NewId(Protocol):
    """Makes an identifier with a prefix, for the time `at` or now."""

    def __call__(self, prefix: str, *, at: datetime | None = None) -> str: ...
