"""Signatures by Standard Webhooks 1.0: `v1` is HMAC-SHA256, `v1a` is ed25519, over `{id}.{unix seconds}.{body}`.

The ed25519 function is an argument, since it needs a library, and the domain imports none.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.errors import LimitReached

PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 75
GENERATED_BYTES = 24
SEED_BYTES = 32
PAIR_BYTES = 64

# Rotated secrets, and how long each still signs beside the new one.
MAX_OLD_SECRETS = 10
DEFAULT_GRACE, MAX_GRACE = timedelta(days=1), timedelta(weeks=1)

Sign = Callable[[bytes, bytes], bytes]


class Kind(StrEnum):
    """The algorithm of a key."""

    HMAC = "hmac"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A signing key: random bytes for HMAC, seed and public key for ed25519.

    `expires_at` is set once a newer key has taken its place.
    """

    key: bytes
    expires_at: datetime | None = None
    kind: Kind = Kind.HMAC

    def __repr__(self) -> str:
        return "Secret(***)"

    @property
    def text(self) -> str:
        """The form that a receiver configures: `whsec_` and base64; for ed25519 `whpk_` and the public key alone."""
        if self.kind is Kind.ED25519:
            return PUBLIC_PREFIX + base64.b64encode(self.key[SEED_BYTES:]).decode()
        return PREFIX + base64.b64encode(self.key).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Signs with every key of an endpoint that has not expired, for each family of header names."""

    families: tuple[str, ...]
    ed25519: Sign

    def headers(self, secrets: tuple[Secret, ...], *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
        """The signature headers of one attempt."""
        signature = sign(secrets, message_id=message_id, at=at, body=body, ed25519=self.ed25519)
        return headers(self.families, message_id=message_id, at=at, signature=signature)


def parse(text: str) -> Secret:
    """Parse a secret, with its prefix or as bare base64. ValueError, with what to do, for anything else.

    Whether the two halves of a key pair belong together is not checked here.
    """
    private = text.startswith(PRIVATE_PREFIX)
    try:
        key = base64.b64decode(text.removeprefix(PRIVATE_PREFIX if private else PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A secret is `whsec_` followed by base64, or `whsk_` for ed25519.") from None
    if private:
        if len(key) != PAIR_BYTES:
            raise ValueError(f"An ed25519 secret has {PAIR_BYTES} bytes, seed and public key; this one has {len(key)}.")
        return Secret(key=key, kind=Kind.ED25519)
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"A secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, this one has {len(key)}.")
    return Secret(key=key)


def aged(secrets: Sequence[Secret], *, at: datetime, grace: timedelta) -> list[Secret]:
    """The secrets that sign beside a new one: the current one until `grace` is over, and older ones that still sign.

    LimitReached when they are too many.
    """
    current, older = secrets[0], [secret for secret in secrets[1:] if secret.expires_at and secret.expires_at > at]
    kept = [replace(current, expires_at=at + grace), *older] if grace else older
    if len(kept) > MAX_OLD_SECRETS:
        soonest = min(secret.expires_at for secret in kept if secret.expires_at)
        raise LimitReached(
            f"You can only rotate a key {MAX_OLD_SECRETS} times; the next key expires at {soonest.isoformat()}."
        )
    return kept


def sign(secrets: tuple[Secret, ...], *, message_id: str, at: datetime, body: bytes, ed25519: Sign) -> str:
    """The value of the signature header: one signature for each key that has not expired, separated by spaces.

    `ed25519` takes a key and the bytes to sign.
    """
    text = f"{message_id}.{int(at.timestamp())}.".encode() + body
    return " ".join([_signature(secret, text, ed25519) for secret in secrets if _holds(secret, at)])


def headers(families: tuple[str, ...], *, message_id: str, at: datetime, signature: str) -> dict[str, str]:
    """The three signature headers for each family of names, as in `webhook-id` and `svix-id`."""
    values = {"id": message_id, "timestamp": str(int(at.timestamp())), "signature": signature}
    return {f"{family}-{name}": value for family in families for name, value in values.items()}


def _signature(secret: Secret, text: bytes, ed25519: Sign) -> str:
    if secret.kind is Kind.ED25519:
        return f"v1a,{base64.b64encode(ed25519(secret.key, text)).decode()}"
    return f"v1,{base64.b64encode(hmac.digest(secret.key, text, 'sha256')).decode()}"


def _holds(secret: Secret, at: datetime) -> bool:
    return secret.expires_at is None or secret.expires_at > at
