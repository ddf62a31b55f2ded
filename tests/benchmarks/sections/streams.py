"""Ordered destinations: how fast one receiver or broker is sent a stream, and what ten thousand idle ones cost an
accept. A source: how fast messages are accepted from a broker."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Protocol

from deploy.brokers.together import Brokers
from service.adapters.machine.clock import new_id
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.server.columns import seal_secrets, seal_sink
from service.adapters.postgres.server.wakeups import STREAM_CHANNEL
from service.domain import ids
from service.domain.signatures import Secret
from service.domain.sinks import FifoSink, Sink
from tests.benchmarks import brokers, invoice, processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SECRET_KEY, SIGNING_KEY, Database
from tests.benchmarks.measure import LeftOut, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.owed import keep
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.accept import accepted, job
from tests.benchmarks.sections.deliver import until

IDLE = 10_000
BATCHES: Mapping[str, int] = {"fifo": 100, "single": 1}
APPENDED = 100  # a batch, to brokers
LINES_OF = {"kafka": "Kafka topic", "nats": "JetStream stream"}
TARGETS = {
    "fifo": Target(must=3_000, aim=5_000),
    "single": Target(must=300),
    "kafka": Target(must=3_000, aim=5_000),
    "nats": Target(must=3_000, aim=5_000),
    "source": Target(must=3_000, aim=5_000),
}

LISTED = """
    INSERT INTO stream_message (app_id, position, message_id, event_type, created_at)
    SELECT s.app_id, s.head + row_number() OVER (ORDER BY m.id), m.id, m.event_type, now()
    FROM message m JOIN stream s ON s.app_id = m.app_id WHERE m.id LIKE $1 || '%'
"""
SENT = "SELECT array_agg(message_id ORDER BY position) FROM stream_message WHERE message_id LIKE $1 || '%'"
ACCEPTED = """
    SELECT array_agg(m.id) FROM message m
    JOIN generate_series(0, $2::int - 1) n ON m.event_id = $1 || '-' || n
"""
DESTINATION = """
    INSERT INTO destination (id, org_id, app_id, kind, sealed, secrets, status, batch_size, max_wait_secs, metadata,
                             position, due_at, created_at, updated_at)
    VALUES ($1, 'org', $2, $6, $3, $4, 'enabled', $5, 0, '{}', 0, now(), now(), now())
"""
APPLICATIONS = (
    "INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
    " SELECT 'app_idle' || n, 'org', '', '{}', now(), now() FROM generate_series(1, $1::int) n"
)
IDLE_ONES = (
    "INSERT INTO stream SELECT 'app_idle' || n, 100, false FROM generate_series(1, $1::int) n",
    "INSERT INTO destination (id, org_id, app_id, kind, sealed, status, batch_size, max_wait_secs, metadata, position,"
    " due_at, created_at, updated_at) SELECT 'dest_idle' || n, 'org', 'app_idle' || n, 'fifoEndpoint', '', 'enabled',"
    " 1, 0, '{}', 100, now(), now(), now() FROM generate_series(1, $1::int) n",
)


class Receiving(Protocol):
    """What a stream is sent to, and what it can tell of that."""

    def sink(self) -> Sink:
        """How it is reached; asked once."""

    def forget(self) -> None:
        """Another turn begins."""

    def rate(self, sent: Sequence[str]) -> float:
        """Messages of this turn a second, from its first tenth to its last. PromiseBroken unless these came, each once
        and in this order."""


def measure(bench: Bench) -> list[Row]:
    """A worker that finds a stream waiting, for batches and for single messages, over HTTP and for brokers; a source
    that finds one; accepts with and without idle destinations."""
    return [
        *(_by_http(bench, key, size) for key, size in BATCHES.items()),
        *(_by_broker(bench, name) for name in brokers.LINES),
        _source(bench),
        _idle(bench),
    ]


def _by_http(bench: Bench, key: str, size: int) -> Row:
    with processes.listening("receiver", SIGNING_KEY.hex()) as process:
        row = _sent(bench, key, HttpReceiving(process, size), size)
    return replace(
        row,
        meaning=f"messages/s of 1 KB into one receiver by one worker, {size} a request, {row.meaning}",
        promise="every batch signed, each once, nothing left",
    )


def _by_broker(bench: Bench, name: str) -> Row:
    missing = brokers.why_missing(name)
    if missing is not None:
        return LeftOut(section="streams", key=name, reason=missing)
    with brokers.running(name) as running:
        row = _sent(bench, name, BrokerReceiving(brokers.LINES[name](running)), APPENDED)
    return replace(
        row,
        meaning=f"messages/s of 1 KB into one {LINES_OF[name]} by one worker, {APPENDED} a batch, {row.meaning}",
        promise="all there, byte for byte, each once, in order",
    )


def _sent(bench: Bench, key: str, receiving: Receiving, size: int) -> Result:
    messages = bench.plan.size(40_000, 2_000) if size > 1 else bench.plan.size(4_000, 400)
    with ExitStack() as stack:
        used = stack.enter_context(bench.database(f"streams_{key}"))
        _add_destination(used, receiving.sink(), size)
        worker = stack.enter_context(relevo.working(used, relevo.SILENT))
        read = partial(_read, used, receiving, worker, messages=messages)
        figures = in_turns(bench.plan.turns, {key: read})
        bench.profile(f"streams_{key}", worker, read)
    return Result(
        section="streams",
        key=key,
        value=figures[key].median,
        target=TARGETS[key],
        meaning=f"at {figures[key].cpu_us:.0f} µs each",
        promise="",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=figures[key].spread,
    )


def _read(used: Database, receiving: Receiving, worker: Process, *, messages: int) -> Turn:
    receiving.forget()
    worked = worker.worked
    kept = keep(used, messages=messages)
    used.execute(LISTED, kept)
    used.execute("UPDATE stream SET head = head + $1, active = true", messages)
    used.execute("SELECT pg_notify($1, '')", STREAM_CHANNEL)
    until(lambda: used.value("SELECT bool_and(position = head) FROM destination JOIN stream USING (app_id)"))
    cost = (worker.worked - worked) * 1e6 / messages
    return Turn(receiving.rate(used.value(SENT, kept)), cost)


class HttpReceiving:
    """A receiver of webhooks."""

    def __init__(self, process: Process, size: int) -> None:
        self._process = process
        self._size = size

    def sink(self) -> Sink:
        """See `Receiving`."""
        return FifoSink(url=self._process.url)

    def forget(self) -> None:
        """See `Receiving`."""
        processes.exchange(self._process.port, "POST", "/forget")

    def rate(self, sent: Sequence[str]) -> float:
        """See `Receiving`. Its report knows requests, not what is in them."""
        report = self._process.ask("GET", "/report")
        calls = -(-len(sent) // self._size)
        check(report["calls"] >= calls, f"{calls} batches at least: {report}")
        check(report["calls"] == report["verified"] == report["distinct"], f"each batch once, signed: {report}")
        return float(report["per_second"] * len(sent) / report["calls"])


class BrokerReceiving:
    """A topic or stream, read back when a turn is over."""

    def __init__(self, line: brokers.Line) -> None:
        self._line = line
        self._before = 0

    def sink(self) -> Sink:
        """See `Receiving`."""
        return self._line.sink()

    def forget(self) -> None:
        """Nothing: what was there stays, and is left out."""

    def rate(self, sent: Sequence[str]) -> float:
        """See `Receiving`."""
        arrived = self._line.arrived(after=self._before)
        self._before += len(sent)
        check([each.id for each in arrived] == list(sent), f"{len(sent)} messages in order, {len(arrived)} are there")
        check({each.payload for each in arrived} == {invoice.written().encode()}, "payloads are as they were sent")
        return _rate([each.at for each in arrived])


def _source(bench: Bench) -> Row:
    """Accepts from a stream of JetStream that is full when the source begins, for an application without endpoints."""
    missing = brokers.why_missing("nats")
    if missing is not None:
        return LeftOut(section="streams", key="source", reason=missing)
    payloads = [invoice.written()] * bench.plan.size(40_000, 2_000)
    with ExitStack() as stack:
        running = stack.enter_context(brokers.running("nats"))
        used = stack.enter_context(bench.database("streams_source"))
        app_id = used.add_application()
        server = stack.enter_context(relevo.serving(used, relevo.SILENT))
        take = partial(_taken, used, running, server, app_id, payloads)
        figures = in_turns(bench.plan.turns, {"source": take})
        bench.profile("streams_source", server, take)
    ours = figures["source"]
    return Result(
        section="streams",
        key="source",
        value=ours.median,
        target=TARGETS["source"],
        meaning=f"messages/s of 1 KB accepted from one JetStream stream by one process, at {ours.cpu_us:.0f} µs each",
        promise="a row for every event id and no other, all acknowledged",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=ours.spread,
    )


def _taken(used: Database, running: Brokers, server: Process, app_id: str, payloads: Sequence[str]) -> Turn:
    name, before = f"turn-{time.time_ns()}", used.count("message")
    worked = brokers.take(running, server, app_id, name=name, payloads=payloads)
    kept: list[str] = used.value(ACCEPTED, name, len(payloads))
    check(len(kept) == len(payloads), f"{len(payloads)} event ids, {len(kept)} are kept")
    check(used.count("message") - before == len(payloads), "each is kept once")
    moments = sorted(ids.time_of(each).timestamp() for each in kept)
    return Turn(_rate(moments), worked * 1e6 / len(payloads))


def _rate(moments: Sequence[float]) -> float:
    """How many a second between the first tenth and the last, where neither the start nor the end is slow."""
    first, last = len(moments) // 10, len(moments) * 9 // 10
    return (last - first) / (moments[last] - moments[first])


def _add_destination(used: Database, sink: Sink, size: int) -> None:
    app_id, vault = used.add_application(), AesVault([SECRET_KEY])
    used.execute("INSERT INTO stream VALUES ($1, 0, false)", app_id)
    sealed, secrets = seal_sink(vault, sink), seal_secrets(vault, [Secret(key=SIGNING_KEY)])
    used.execute(DESTINATION, new_id(ids.DESTINATION), app_id, sealed, secrets, size, sink.kind.value)


def _idle(bench: Bench) -> Result:
    """Accepts for an application without destinations, beside ten thousand others with one each, or without."""
    count = bench.plan.size(IDLE, 1_000)
    with ExitStack() as stack:
        turns = {}
        for name, added in (("none", ()), ("idle", IDLE_ONES)):
            used = stack.enter_context(bench.database(f"streams_{name}"))
            for statement in (APPLICATIONS, *added):
                used.execute(statement, count)
            used.execute("ANALYZE")
            process = stack.enter_context(relevo.serving(used, relevo.SILENT))
            turns[name] = partial(accepted, bench, job(bench, used, process), used, process)
        figures = in_turns(bench.plan.turns, turns)
    ours, theirs = figures["idle"], figures["none"]
    return Result(
        section="streams",
        key="idle",
        value=ours.median / theirs.median,
        target=Target(must=0.95),
        meaning=f"{ours.median:,.0f} messages/s accepted beside {IDLE:,} idle destinations, of those without any"
        f" ({theirs.median:,.0f}/s)",
        promise="a row for every message, and what it owes",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=max(ours.spread, theirs.spread),
    )
