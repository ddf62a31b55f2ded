"""Signing in elsewhere: at an identity provider, which answers to the browser that began and to no other."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from service.application.access import Caller

BINDING_BYTES = 32
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class SignInBinding:
    """What binds the provider's answer to the browser that began the sign-in: made of a secret that only it keeps.

    None of the three tells the secret or another of them, so that `state` and `nonce` may be in an address.
    """

    secret: str

    def __repr__(self) -> str:
        return "SignInBinding(***)"

    @classmethod
    def new(cls, new_secret: Callable[[int], bytes]) -> "SignInBinding":
        """One with a fresh secret."""
        return cls(new_secret(BINDING_BYTES).hex())

    @classmethod
    def parse(cls, text: str) -> "SignInBinding | None":
        """That of a secret; None for anything else."""
        return cls(text) if len(text) == 2 * BINDING_BYTES and _HEX.issuperset(text) else None

    @property
    def state(self) -> str:
        """What the provider's answer has to repeat."""
        return self._part("state")

    @property
    def nonce(self) -> str:
        """What the ID token has to name."""
        return self._part("nonce")

    @property
    def verifier(self) -> str:
        """PKCE's `code_verifier` (RFC 7636), without which the code is worth nothing."""
        return self._part("verifier")

    def _part(self, name: str) -> str:
        return sha256(f"{name}:{self.secret}".encode()).hexdigest()


class IdentityProvider(Protocol):
    """A provider that signs people in and tells us who they are."""

    @property
    def name(self) -> str:
        """What people know it by."""
        ...

    async def address(self, binding: SignInBinding, *, redirect_uri: str) -> str:
        """Where the browser is sent to. Unavailable."""
        ...

    async def check_answer(self, answered_by: str | None) -> None:
        """Refuse an answer of another issuer: `answered_by` is its `iss` (RFC 9207). NotAuthenticated, Unavailable."""
        ...

    async def redeem(self, code: str, binding: SignInBinding, *, redirect_uri: str) -> Caller:
        """Whom the code stands for, which it does once. NotAuthenticated, Unavailable."""
        ...
