"""Signing what is sent to an endpoint: the same for a delivery and for an example."""

from dataclasses import dataclass
from datetime import datetime

from service.application.ports.machine import KeyPairs
from service.domain import signatures
from service.domain.signatures import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Signs with every key of an endpoint that has not expired, under each family of header names."""

    families: tuple[str, ...]
    key_pairs: KeyPairs

    def headers(self, secrets: tuple[Secret, ...], *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
        """The signature headers of one attempt."""
        signature = signatures.sign(secrets, message_id=message_id, at=at, body=body, ed25519=self.key_pairs.sign)
        return signatures.headers(self.families, message_id=message_id, at=at, signature=signature)
