"""JSON in columns: secrets and headers of endpoints, and sinks, encrypted by the vault; headers of attempts, not
encrypted."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from service.application.ports.machine import Vault
from service.domain.headers import Pairs
from service.domain.signatures import Kind, Secret
from service.domain.sink_configs import config_of, restored
from service.domain.sinks import Sink, SinkKind


def seal_secrets(vault: Vault, secrets: Sequence[Secret]) -> bytes:
    """The encrypted bytes of these secrets, in their order."""
    rows = [
        {"key": base64.b64encode(secret.key).decode(), "expires_at": _written(secret), "kind": secret.kind.value}
        for secret in secrets
    ]
    return vault.seal(json.dumps(rows).encode())


def open_secrets(vault: Vault, blob: bytes) -> tuple[Secret, ...]:
    """The decrypted secrets, in their order."""
    return tuple(
        Secret(
            key=base64.b64decode(row["key"]),
            expires_at=_read(row["expires_at"]),
            kind=Kind(row.get("kind", Kind.HMAC)),  # the first release had no other kind
        )
        for row in json.loads(vault.open(blob))
    )


def seal_headers(vault: Vault, headers: Mapping[str, str]) -> bytes:
    """The encrypted bytes of these headers; spelling and order are kept."""
    return vault.seal(json.dumps(dict(headers)).encode())


def open_headers(vault: Vault, blob: bytes) -> dict[str, str]:
    """The decrypted headers."""
    return {str(name): str(value) for name, value in json.loads(vault.open(blob)).items()}


def seal_sink(vault: Vault, sink: Sink) -> bytes:
    """The encrypted bytes of a sink with its credentials."""
    return vault.seal(json.dumps(config_of(sink)).encode())


def open_sink(vault: Vault, kind: str, blob: bytes) -> Sink:
    """The decrypted sink of that kind."""
    return restored(SinkKind(kind), json.loads(vault.open(blob)))


def write_pairs(headers: Pairs) -> str | None:
    """An attempt's headers as a column: a JSON list of pairs; NULL when there are none."""
    return orjson.dumps(headers).decode() if headers else None


def write_rows(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as one parameter, for `json_to_recordset`; a missing column is NULL. Encoding twenty arrays for `unnest`
    takes three times the processor time."""
    return orjson.dumps(rows).decode()


def read_pairs(column: str | None) -> Pairs:
    """An attempt's headers from a column."""
    return () if column is None else tuple((name, value) for name, value in orjson.loads(column))


def _written(secret: Secret) -> str | None:
    return secret.expires_at.isoformat() if secret.expires_at else None


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
