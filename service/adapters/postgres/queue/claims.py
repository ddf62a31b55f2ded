"""Claiming: the statements that take deliveries under a lease, and claims made from their rows."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import asyncpg
import structlog

from service.adapters.postgres.server.columns import open_headers, open_secrets
from service.adapters.postgres.server.statements import beside
from service.application.ports.machine import Vault
from service.domain import ids
from service.domain.deliveries import Claim, Trigger
from service.domain.destinations import destination_of
from service.domain.ids import ApplicationId, EndpointId, MessageId, OrgId
from service.domain.messages import NewMessage

Value = TypeVar("Value")

_log = structlog.stdlib.get_logger("relevo.queue")

CACHED_SEALED_BYTES = 4_000_000
WINDOW_ROWS_PER_CLAIM = 5
WIDE_WINDOW_ROWS = 1000

_statements = beside(__name__)
CLAIM, CLAIM_BY_TURNS, CLAIM_THROTTLED = (_statements[name] for name in ("claim", "claim_by_turns", "claim_throttled"))


class ClaimReader:
    """Makes claims from rows, with secrets and headers decrypted."""

    def __init__(self, vault: Vault) -> None:
        self._secrets = Opened(partial(open_secrets, vault), most=CACHED_SEALED_BYTES)
        self._headers = Opened(partial(open_headers, vault), most=CACHED_SEALED_BYTES)

    def claims(self, rows: Sequence[asyncpg.Record]) -> list[Claim]:
        """The claims in these rows; rows without a claim are skipped."""
        claims = (self._readable(row, partial(self._claim, row)) for row in rows if row["lease"] is not None)
        return [claim for claim in claims if claim is not None]

    def born(
        self, rows: Sequence[asyncpg.Record], messages: Mapping[MessageId, NewMessage], *, lease: str
    ) -> list[Claim]:
        """The claims of deliveries that were leased when these messages were accepted; rows without one are skipped."""
        leased = (row for row in rows if row["endpoint_id"] is not None)
        claims = (self._readable(row, partial(self._born, row, messages[row["id"]], lease)) for row in leased)
        return [claim for claim in claims if claim is not None]

    def _readable(self, row: asyncpg.Record, read: Callable[[], Claim]) -> Claim | None:
        """The claim, or None if its endpoint's secrets cannot be decrypted: it is due again after its lease."""
        try:
            return read()
        except Exception as error:  # noqa: BLE001 - one endpoint's fault must not stop all deliveries
            _log.error("claim.unreadable", endpoint_id=row["endpoint_id"], error_type=type(error).__qualname__)
            return None

    def _claim(self, row: asyncpg.Record) -> Claim:
        return Claim(
            message_id=MessageId(row["message_id"]),
            endpoint_id=EndpointId(row["endpoint_id"]),
            app_id=ApplicationId(row["app_id"]),
            app_uid=row["app_uid"],
            org_id=OrgId(row["org_id"]),
            resend=row["resend"],
            lease=row["lease"],
            attempt=row["attempts"] + 1,
            trigger=Trigger.MANUAL if row["resend"] else Trigger.SCHEDULED,
            due_at=row["was_due_at"],
            accepted_at=row["deliver_at"] or ids.time_of(row["message_id"]),
            event_type=row["event_type"] or "",
            channels=tuple(row["channels"]) if row["channels"] else None,
            payload=row["payload"],
            content_type=row["content_type"],
            destination=destination_of(row["url"], self._headers(row["headers"])),
            secrets=self._secrets(row["secrets"]),
            endpoint_active=row["active"],
            correlation_id=row["correlation_id"] or "",
            traceparent=row["traceparent"],
            previous=row["previous"],
            delivered=row["delivered"],
            wants_trace=bool(row["wants_trace"]),
        )

    def _born(self, row: asyncpg.Record, message: NewMessage, lease: str) -> Claim:
        return Claim(
            message_id=message.id,
            endpoint_id=EndpointId(row["endpoint_id"]),
            app_id=ApplicationId(row["app_id"]),
            app_uid=row["app_uid"],
            org_id=message.org_id,
            resend="",
            lease=lease,
            attempt=1,
            trigger=Trigger.SCHEDULED,
            due_at=row["due_at"],
            accepted_at=ids.time_of(message.id),
            event_type=message.event_type,
            channels=message.channels or None,
            payload=message.payload,
            content_type=message.content_type,
            destination=destination_of(row["url"], self._headers(row["headers"])),
            secrets=self._secrets(row["secrets"]),
            endpoint_active=True,
            correlation_id=message.correlation_id,
            traceparent=message.traceparent,
            wants_trace=bool(row["wants_trace"]),
        )


class Opened(Generic[Value]):
    """A cache of decrypted values by their sealed bytes, since few endpoints have many claims.

    It calls `unseal` for a value that is not cached. The latest values are kept, up to `most` sealed bytes in all."""

    def __init__(self, unseal: Callable[[bytes], Value], *, most: int) -> None:
        self._unseal = unseal
        self._most = most
        self._known: dict[bytes, Value] = {}
        self.size = 0

    def __call__(self, sealed: bytes) -> Value:
        """The value. Errors of `unseal` are raised and not cached."""
        if sealed in self._known:
            value = self._known[sealed] = self._known.pop(sealed)
            return value
        value = self._unseal(sealed)
        self._remember(sealed, value)
        return value

    def _remember(self, sealed: bytes, value: Value) -> None:
        if len(sealed) > self._most:
            return
        self._known[sealed] = value
        self.size += len(sealed)
        while self.size > self._most:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self.size -= len(oldest)


def new_lease() -> str:
    """The token of a lease."""
    return os.urandom(8).hex()


def shares(per_endpoint: int, rooms: Mapping[EndpointId, int]) -> dict[str, object]:
    """Parameters of a claim: the number of deliveries per endpoint, and the endpoints that have another number."""
    others = {endpoint: room for endpoint, room in rooms.items() if room != per_endpoint}
    return {"share": per_endpoint, "others": list(others), "rooms": list(others.values())}


def window(limit: int, rooms: Mapping[EndpointId, int]) -> int:
    """How many due rows a claim reads; more when saturated endpoints may fill them."""
    return max(limit * WINDOW_ROWS_PER_CLAIM, WIDE_WINDOW_ROWS if 0 in rooms.values() else 0)


def left(per_endpoint: int, rooms: Mapping[EndpointId, int], claims: Sequence[Claim]) -> dict[EndpointId, int]:
    """The free places per endpoint that these claims leave."""
    taken = Counter(claim.endpoint_id for claim in claims)
    rest = {endpoint: rooms.get(endpoint, per_endpoint) - count for endpoint, count in taken.items()}
    return {**rooms, **rest}
