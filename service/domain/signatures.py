"""Signing as Standard Webhooks 1.0 has it: `v1`, HMAC-SHA256 over `{id}.{unix seconds}.{body}`."""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import datetime

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 75
GENERATED_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A signing key. `expires_at` is set once a newer key has taken its place."""

    key: bytes
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return "Secret(***)"

    @property
    def text(self) -> str:
        """The form a receiver configures: `whsec_` and base64."""
        return PREFIX + base64.b64encode(self.key).decode()


def parse(text: str) -> bytes:
    """The key of a written secret, with or without its prefix. ValueError, saying what to do, when it is not one."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A secret is `whsec_` followed by base64.") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"A secret has {SHORTEST} to {LONGEST} bytes, this one has {len(key)}.")
    return key


def sign(secrets: tuple[Secret, ...], *, message_id: str, at: datetime, body: bytes) -> str:
    """The value of the signature header: one `v1,...` for each key that has not expired, separated by spaces."""
    text = f"{message_id}.{int(at.timestamp())}.".encode() + body
    return " ".join(f"v1,{_hmac(secret.key, text)}" for secret in secrets if _holds(secret, at))


def headers(families: tuple[str, ...], *, message_id: str, at: datetime, signature: str) -> dict[str, str]:
    """The three signature headers for each family of names, as in `webhook-id` and `svix-id`."""
    values = {"id": message_id, "timestamp": str(int(at.timestamp())), "signature": signature}
    return {f"{family}-{name}": value for family in families for name, value in values.items()}


def _hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def _holds(secret: Secret, at: datetime) -> bool:
    return secret.expires_at is None or secret.expires_at > at
