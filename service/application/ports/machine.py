"""Time, identity and secrets, as the use cases ask for them."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, timezone-aware."""

    def now(self) -> datetime: ...


class Vault(Protocol):
    """Keeps secrets unreadable to whoever holds only the database."""

    def seal(self, plain: bytes) -> bytes: ...
    def open(self, sealed: bytes) -> bytes: ...


class KeyPairs(Protocol):
    """Ed25519 keys of 64 bytes: the seed, then the public half."""

    def new(self) -> bytes: ...
    def holds(self, key: bytes) -> bool:
        """Whether the public half is the seed's own."""
        ...

    def sign(self, key: bytes, text: bytes) -> bytes: ...


class NewId(Protocol):
    """Makes an identifier with a prefix, of the instant `at` or of now."""

    def __call__(self, prefix: str, *, at: datetime | None = None) -> str: ...
