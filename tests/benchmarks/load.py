"""The load generator, a process of its own: reads a job from its input and writes what came of it to its output.

Closed loop: each connection sends its next request when the last was answered. Open loop: requests come at a rate,
whether or not the one before was answered, and are timed from the moment they were meant for.
"""

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import uvloop

from tests.benchmarks.wire import Connection, Request, now_ns, parse

TICK = 0.001
PATIENCE = 15.0
SLICE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send, round and round. Without a `rate` the loop is closed; `count` ends it before `seconds` do.

    `stamps` says whether to tell which requests were accepted.
    """

    port: int
    host: str = "127.0.0.1"
    requests: list[str]
    connections: int = 64
    rate: float | None = None
    warm_up: float = 0.7
    seconds: float = 5.0
    count: int | None = None
    stamps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of a job. `per_second` and the latencies are of 2xx answers after the warm-up, all else of everything.

    `unsent` are requests of an open loop that found no connection free; `busy` is the share of its core that the
    generator used. `stamps` are those of the accepted requests, when the job asks for them.
    """

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    statuses: dict[str, int]
    unsent: int
    lost: int
    busy: float
    stamps: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """All that were answered with a 2xx."""
        return sum(count for status, count in self.statuses.items() if status.startswith("2"))

    @property
    def answered(self) -> int:
        """All that were answered."""
        return sum(self.statuses.values())


def run(job: Job) -> Load:
    """Run a job to its end."""
    with running(job) as load:
        return load()


@contextmanager
def running(job: Job) -> "Iterator[_Wait]":
    """Run a job beside the block, which may wait for its end with what it is given."""
    arguments = [sys.executable, "-m", "tests.benchmarks.load"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(job)) + "\n")
        process.stdin.flush()
        try:
            yield _Wait(process)
        finally:
            process.kill()


class _Wait:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self._process.poll() is not None

    def stop(self) -> Load:
        """End the job now; what came of it."""
        self._process.terminate()
        return self()

    def __call__(self) -> Load:
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError("the load generator failed; its own words are above")
        return Load(**json.loads(output))


class Generator:
    """Runs one job on the loop of this process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests: Iterator[Request] = itertools.cycle([parse(text) for text in job.requests])
        self._left = job.count if job.count is not None else sys.maxsize
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._statuses: Counter[int] = Counter()
        self._latencies = array("d")
        self._stamps = array("q")
        self._unsent = self._lost = 0
        self._from_ns = self._until_ns = 0
        self._stopping = False
        self._quiet = asyncio.Event()

    async def run(self) -> Load:
        """Connect, send until the time or the count is up, wait for the last answers."""
        for _ in range(self._job.connections):
            self._idle.append(await self._connect())
        start = now_ns()
        self._from_ns = start + int(self._job.warm_up * 1e9)
        self._until_ns = self._from_ns + int(self._job.seconds * 1e9)
        worked = time.process_time()
        if self._job.rate is None:
            await self._closed()
        else:
            await self._at_rate(self._job.rate, start)
        elapsed = (now_ns() - start) / 1e9
        return self._load(busy=(time.process_time() - worked) / elapsed, ended_ns=now_ns())

    async def _closed(self) -> None:
        asyncio.get_running_loop().call_later(self._job.warm_up + self._job.seconds, self._stop)
        while self._idle and not self._stopping:
            self._send(self._idle.popleft(), now_ns())
        await self._quiet.wait()

    async def _at_rate(self, rate: float, start_ns: int) -> None:
        interval = 1e9 / rate
        last = min(int((self._until_ns - start_ns) / interval), self._left)
        for nth in range(last):
            meant_for = start_ns + int(nth * interval)
            while now_ns() < meant_for:  # noqa: ASYNC110 - time has no event
                await asyncio.sleep(TICK)
            if nth % SLICE == 0:
                await asyncio.sleep(0)
            if self._stopping:
                break
            if self._idle:
                self._send(self._idle.popleft(), meant_for)
            else:
                self._unsent += 1
        self._stop()
        async with asyncio.timeout(PATIENCE):
            await self._quiet.wait()

    def stop(self) -> None:
        """Send nothing more; what has been sent is still answered."""
        self._until_ns = min(self._until_ns, now_ns())
        self._stop()

    def _send(self, connection: Connection, at_ns: int) -> None:
        self._left -= 1
        connection.send(next(self._requests), at_ns)

    def _answered(self, connection: Connection, status: int) -> None:
        now = now_ns()
        self._statuses[status] += 1
        if self._from_ns <= now < self._until_ns and 200 <= status < 300:
            self._latencies.append((now - connection.meant_for_ns) / 1e6)
        if self._job.stamps and 200 <= status < 300:
            self._stamps.append(connection.meant_for_ns)
        if self._job.rate is None and self._left > 0 and not self._stopping:
            self._send(connection, now)
            return
        self._idle.append(connection)
        if self._stopping or self._left <= 0:
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        if len(self._idle) == len(self._open):
            self._quiet.set()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._answered, self._gone), self._job.host, self._job.port
        )
        self._open.add(connection)
        return connection

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._lost += 1
        if self._stopping or not self._open:
            self._stop()

    def _load(self, *, busy: float, ended_ns: int) -> Load:
        ordered = sorted(self._latencies)
        seconds = (min(self._until_ns, ended_ns) - self._from_ns) / 1e9
        return Load(
            per_second=len(ordered) / seconds,
            p50_ms=_percentile(ordered, 0.50),
            p95_ms=_percentile(ordered, 0.95),
            p99_ms=_percentile(ordered, 0.99),
            statuses={str(status): count for status, count in self._statuses.items()},
            unsent=self._unsent,
            lost=self._lost,
            busy=round(busy, 3),
            stamps=self._stamps.tolist(),
        )


def _percentile(ordered: list[float], share: float) -> float:
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3) if ordered else 0.0


async def _main() -> None:
    generator = Generator(Job(**json.loads(sys.stdin.readline())))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, generator.stop)
    sys.stdout.write(json.dumps(asdict(await generator.run())))


if __name__ == "__main__":
    uvloop.run(_main())
