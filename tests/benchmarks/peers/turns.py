"""One turn: a contender at rest gets its load, until everything has arrived and it is at rest again."""

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.benchmarks import load, processes
from tests.benchmarks.load import Job
from tests.benchmarks.measure import NotMeasured
from tests.benchmarks.peers.contenders import Contender
from tests.benchmarks.peers.counting import Arrival, Delivered, count
from tests.benchmarks.peers.scenarios import Measurement
from tests.benchmarks.peers.usage import Used, used
from tests.benchmarks.processes import Process

POLL = 0.05
PATIENCE = 20.0  # seconds without any arrival, after which what is missing is lost
REST = 0.1  # seconds
RESTLESS = 0.1  # share of a core
RESTS_WITHIN = 3.0
BUSY = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn gave. The processor times are of service and databases; `foreign` is the load, in cores, of all
    that is neither contender nor generator nor receiver.
    """

    delivered: Delivered
    accepted_per_second: float
    answered_p50_ms: float
    refused: int
    service_us: float
    databases_us: float
    delivery_us: float
    peak_mb: float
    foreign: float


def take(
    contender: Contender,
    requests: list[str],
    receiver: Process,
    measurement: Measurement,
    *,
    patience: float = PATIENCE,
) -> Turn:
    """Send, wait, count. NotMeasured when something else than the contender was the bottleneck."""
    _rest(contender)
    processes.exchange(receiver.port, "POST", "/forget")
    contender.service.forget_peak()
    before = used(contender.service, contender.databases, receiver)
    done = load.run(_job(contender, requests, measurement))
    fan_out = measurement.scenario.fan_out
    _arrived(receiver, len(done.stamps) * fan_out, patience)
    busy = (receiver.worked - before.receiver) / (time.monotonic() - before.at)
    if max(done.busy, busy) >= BUSY:
        raise NotMeasured(f"a tool was the bottleneck: the generator was busy {done.busy:.0%}, the receiver {busy:.0%}")
    _rest(contender)
    spent = used(contender.service, contender.databases, receiver).since(before)
    arrivals = [Arrival(*values) for values in receiver.ask("GET", "/arrivals")]
    return _turn(contender, done, count(done.stamps, arrivals, fan_out=fan_out), spent)


def _turn(contender: Contender, done: load.Load, delivered: Delivered, spent: Used) -> Turn:
    messages, deliveries = max(delivered.accepted, 1), max(delivered.delivered, 1)
    return Turn(
        delivered=delivered,
        accepted_per_second=done.per_second,
        answered_p50_ms=done.p50_ms,
        refused=done.answered - done.accepted + done.unsent + done.lost,
        service_us=spent.service * 1e6 / messages,
        databases_us=spent.databases * 1e6 / messages,
        delivery_us=(spent.service + spent.databases) * 1e6 / deliveries,
        peak_mb=contender.service.peak_mb,
        foreign=spent.foreign,
    )


def _job(contender: Contender, requests: list[str], measurement: Measurement) -> Job:
    address = urlsplit(contender.api.url)
    return Job(
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        requests=requests,
        connections=measurement.loop.connections,
        rate=measurement.loop.rate,
        warm_up=measurement.loop.warm_up,
        seconds=measurement.seconds,
        stamps=True,
    )


def _rest(contender: Contender) -> None:
    """Until it has settled what it delivered, and its databases have written that."""
    deadline, worked = time.monotonic() + RESTS_WITHIN, float("-inf")
    while contender.worked - worked > RESTLESS * REST and time.monotonic() < deadline:
        worked = contender.worked
        time.sleep(REST)


def _arrived(receiver: Process, calls: int, patience: float) -> None:
    """Until so many calls have come, or none comes any more."""
    seen, deadline = 0, time.monotonic() + patience
    while seen < calls and time.monotonic() < deadline:
        time.sleep(POLL)
        if (now := receiver.ask("GET", "/count")) > seen:
            seen, deadline = now, time.monotonic() + patience
