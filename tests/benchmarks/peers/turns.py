"""One turn: a contender at rest gets its load, until everything has arrived and it is at rest again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.benchmarks import load, processes
from tests.benchmarks.load import Job
from tests.benchmarks.measure import NotMeasured
from tests.benchmarks.peers.contenders import Contender
from tests.benchmarks.peers.counting import Arrival, Delivered, count
from tests.benchmarks.peers.scenarios import Measurement
from tests.benchmarks.peers.usage import machine_worked
from tests.benchmarks.processes import Process

POLL = 0.02
PATIENCE = 20.0  # seconds without any arrival, after which what is missing is lost
REST = 0.1  # seconds
RESTLESS = 0.1  # share of a core
RESTS_WITHIN = 3.0
BUSY = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn gave. `foreign` is the processor time that others used meanwhile, in cores: neither contender nor
    generator nor receiver.
    """

    delivered: Delivered
    accepted_per_second: float
    answered_p50_ms: float
    refused: int
    service_us: float
    database_us: float
    delivery_us: float
    peak_mb: float
    foreign: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """What everybody has used of the processor at a moment."""

    at: float
    service: float
    database: float
    tools: float
    machine: float


def take(contender: Contender, requests: list[str], receiver: Process, measurement: Measurement) -> Turn:
    """Send, wait, count."""
    _at_rest(contender)
    processes.exchange(receiver.port, "POST", "/forget")
    contender.service.forget_peak()
    before = _used(contender, receiver)
    done = load.run(_job(contender, requests, measurement))
    if done.busy >= BUSY:
        raise NotMeasured(f"the load generator was the bottleneck, busy {done.busy:.0%} of the time")
    fan_out = measurement.scenario.fan_out
    _arrived(receiver, len(done.stamps) * fan_out)
    _at_rest(contender)
    after = _used(contender, receiver)
    arrivals = [Arrival(*values) for values in receiver.ask("GET", "/arrivals")]
    delivered = count(done.stamps, arrivals, fan_out=fan_out)
    service, databases = after.service - before.service, after.database - before.database
    others = after.machine - before.machine - service - databases - (after.tools - before.tools)
    return Turn(
        delivered=delivered,
        accepted_per_second=done.per_second,
        answered_p50_ms=done.p50_ms,
        refused=done.answered - done.accepted + done.unsent + done.lost,
        service_us=service * 1e6 / max(delivered.accepted, 1),
        database_us=databases * 1e6 / max(delivered.accepted, 1),
        delivery_us=(service + databases) * 1e6 / max(delivered.delivered, 1),
        peak_mb=contender.service.peak_mb,
        foreign=max(others, 0.0) / (after.at - before.at),
    )


def _job(contender: Contender, requests: list[str], measurement: Measurement) -> Job:
    host, _, port = contender.api.url.removeprefix("http://").rstrip("/").partition(":")
    return Job(
        host=host,
        port=int(port),
        requests=requests,
        connections=measurement.loop.connections,
        rate=measurement.loop.rate,
        warm_up=measurement.loop.warm_up,
        seconds=measurement.seconds,
        stamps=True,
    )


def _used(contender: Contender, receiver: Process) -> _Used:
    own = psutil.Process().cpu_times()
    return _Used(
        at=time.monotonic(),
        service=contender.service.worked,
        database=contender.databases.worked,
        # The generator has ended and is a child that was waited for.
        tools=own.user + own.system + own.children_user + own.children_system + receiver.worked,
        machine=machine_worked(),
    )


def _at_rest(contender: Contender) -> None:
    """Until it has settled what it delivered, and its database has written it."""

    def restless() -> bool:
        worked = contender.worked
        time.sleep(REST)
        return contender.worked - worked > RESTLESS * REST

    _while(restless, RESTS_WITHIN)


def _arrived(receiver: Process, calls: int) -> None:
    """Until so many calls have come, or none comes any more."""
    seen, last = -1, time.monotonic()
    while seen < calls and time.monotonic() < last + PATIENCE:
        time.sleep(POLL)
        now = receiver.ask("GET", "/count")
        if now != seen:
            seen, last = now, time.monotonic()


def _while(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while holds() and time.monotonic() < deadline:
        pass
