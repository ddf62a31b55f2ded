"""Relevo's own processes as the benchmarks start them, and the requests that are sent to them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from service.adapters.access.tokens import DEFAULT_ORGANISATION
from service.adapters.postgres.server.presence import PRESENCE
from service.domain.ids import OrgId
from tests.benchmarks import database, invoice, processes, wire
from tests.benchmarks.database import Database
from tests.benchmarks.processes import Process

SILENT = {"OTEL_SDK_DISABLED": "true", "RELEVO_LOG_LEVEL": "error"}
# A process appears once it listens.
_LISTENING = f"""
    SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = {PRESENCE} AND l.granted
"""


def everything_to(sink: Process, *, sampled: float = 1.0) -> dict[str, str]:
    """Traces, metrics and logs to the sink."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(sampled),
    }


@contextmanager
def serving(used: Database, environ: Mapping[str, str]) -> Iterator[Process]:
    """`relevo serve` on that database."""
    with _serving({**used.environ, **environ}) as process:
        yield process


@contextmanager
def over(databases: Mapping[str, Database], environ: Mapping[str, str]) -> Iterator[Process]:
    """`relevo serve` on several databases, by name; the first is home."""
    with _serving({**named(databases), **environ}) as process:
        yield process


def named(databases: Mapping[str, Database]) -> dict[str, str]:
    """The settings of a process that uses them."""
    return {"RELEVO_DATABASES": json.dumps({name: used.url for name, used in databases.items()}), **database.SETTINGS}


@contextmanager
def embedded(data: Path, environ: Mapping[str, str], *, tree: Path | None = None) -> Iterator[Process]:
    """`relevo serve` of this checkout or of another, with a PostgreSQL of its own in the directory `data`."""
    with _serving({"RELEVO_DATA_DIR": str(data), **database.SETTINGS, **environ}, tree=tree) as process:
        yield process


def postmaster(data: Path) -> int:
    """The process of the PostgreSQL in that directory."""
    return int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


@contextmanager
def working(used: Database, environ: Mapping[str, str]) -> Iterator[Process]:
    """`relevo worker` on that database, once it listens for wake-ups."""
    before = used.value(_LISTENING)
    settings = {**used.environ, **environ}
    command = ["-m", "service", "worker"]
    ready = partial(_has_joined, used, before)
    with processes.running(command, port=0, ready=ready, environ=settings) as process:
        yield process


@contextmanager
def _serving(environ: Mapping[str, str], *, tree: Path | None = None) -> Iterator[Process]:
    port = processes.free_port()
    settings = {"RELEVO_HOST": "127.0.0.1", "RELEVO_PORT": str(port), **environ}
    # Of several processes each has started then, and at least one is ready.
    started, ready_at_all = processes.answers(port, "/startupz"), processes.answers(port, "/readyz")
    with processes.running(
        ["-m", "service", "serve"], port=port, ready=lambda: started() and ready_at_all(), environ=settings, tree=tree
    ) as process:
        yield process


def _has_joined(used: Database, before: int) -> bool:
    return bool(used.value(_LISTENING) > before)


@contextmanager
def contender(name: str, environ: Mapping[str, str]) -> Iterator[Process]:
    """One of the contenders."""
    port = processes.free_port()
    command = ["-m", "tests.benchmarks.contenders", name, str(port)]
    with processes.running(command, port=port, ready=processes.answers(port, "/readyz"), environ=environ) as process:
        yield process


def message(app_id: str, *, later: bool = False, headers: str = "", org_id: OrgId = DEFAULT_ORGANISATION) -> str:
    """A request that sends an invoice of 1 KB, stamped with its time; `later` leaves the delivery for another day."""
    payload = invoice.written(at=wire.STAMP)
    when = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    deliver_at = f'"deliverAt": "{when}", ' if later else ""
    body = f'{{"eventType": "invoice.paid", {deliver_at}"payload": {payload}}}'
    return wire.post(f"/api/v1/app/{app_id}/msg", body, token=database.token(org_id), headers=headers)
