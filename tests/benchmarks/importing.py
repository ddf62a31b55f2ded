"""A file of messages in by bulk import and out by export, and the same rows by the database's own multi-row insert."""

import asyncio
import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import repeat

import asyncpg

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import dsn
from service.domain import ids
from tests.benchmarks import database
from tests.benchmarks.database import Database
from tests.benchmarks.invoice import PAYLOAD_BYTES, invoice, written
from tests.benchmarks.measure import Turn, check
from tests.benchmarks.processes import Process

GROUP_MESSAGES = 256  # as many as an import commits at once
A_PIECE = 2**16
PATIENCE = 300.0

_MESSAGES = """
INSERT INTO message (id, org_id, app_id, event_type, payload, deliver_at, expires_at, correlation_id)
SELECT i.id, a.org_id, a.id, 'invoice.paid', $3, $4::timestamptz, $4::timestamptz + interval '90 days', 'a-request'
FROM unnest($2::text[]) AS i(id), application a WHERE a.id = $1
"""
_KEYS = """
INSERT INTO idempotency_key (scope, fingerprint, message_id)
SELECT scope, scope, id FROM unnest($1::bytea[], $2::text[]) AS i(scope, id)
"""
_DELIVERIES = """
INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
SELECT e.id, i.id, e.org_id, e.app_id, $3 FROM unnest($2::text[]) AS i(id), endpoint e WHERE e.app_id = $1
"""


def imported(used: Database, process: Process, app_id: str, lines: int, *, payload_bytes: int = PAYLOAD_BYTES) -> Turn:
    """Lines a second, from the first byte sent to the answer, which comes when all are kept."""
    said = {"eventType": "invoice.paid", "deliverAt": _later().isoformat(), "payload": invoice(payload_bytes)}
    line = f"{json.dumps(said)}\n".encode()
    before, worked, began = used.count("message"), process.worked, time.perf_counter()
    with _asking(process) as connection:
        length = {"Content-Length": str(len(line) * lines)}
        connection.request("POST", f"/api/v1/app/{app_id}/msg/import", repeat(line, lines), _bearer() | length)
        answer = json.loads(connection.getresponse().read())
    seconds = time.perf_counter() - began
    kept = used.count("message") - before
    check(kept == answer.get("accepted") == lines, f"{lines} lines sent, {kept} kept, answered {answer}")
    return Turn(lines / seconds, (process.worked - worked) * 1e6 / lines)


def exported(process: Process, app_id: str) -> int:
    """How many lines an export has, which are not kept here either."""
    with _asking(process) as connection:
        connection.request("GET", f"/api/v1/app/{app_id}/msg/export", headers=_bearer())
        answer, lines = connection.getresponse(), 0
        while piece := answer.read(A_PIECE):
            lines += piece.count(b"\n")
    return lines


def inserted(used: Database, app_id: str, rows: int) -> Turn:
    """Messages a second with their keys and deliveries, a transaction for as many as an import commits at once."""
    return Turn(asyncio.run(_insert(used.url, app_id, rows)))


async def _insert(url: str, app_id: str, rows: int) -> float:
    payload, later = written().encode(), _later()
    groups = [
        [new_id(ids.MESSAGE) for _ in range(min(GROUP_MESSAGES, rows - first))]
        for first in range(0, rows, GROUP_MESSAGES)
    ]
    connection = await asyncpg.connect(dsn(url))
    try:
        began = time.perf_counter()
        for group in groups:
            async with connection.transaction():
                await connection.execute(_MESSAGES, app_id, group, payload, later)
                await connection.execute(_KEYS, [os.urandom(32) for _ in group], group)
                await connection.execute(_DELIVERIES, app_id, group, later)
        return rows / (time.perf_counter() - began)
    finally:
        await connection.close()


@contextmanager
def _asking(process: Process) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.close()


def _bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {database.token()}"}


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=23)
