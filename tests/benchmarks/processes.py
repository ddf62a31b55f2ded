"""Real processes: started, waited for, asked and weighed, and gone at the end of their block."""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

READY_WITHIN = 60.0
GONE_WITHIN = 20.0
POLL = 0.01
NOT_GIVEN = range(16_000, 32_000)  # ports below those of outgoing connections

Ready = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A running process that listens on `port` of 127.0.0.1, and perhaps with TLS on another."""

    pid: int
    port: int
    tls_port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def resident_mb(self) -> float:
        """Its resident set now."""
        return float(psutil.Process(self.pid).memory_info().rss / 2**20)

    @property
    def peak_mb(self) -> float:
        """The largest resident set that it has had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))

    @property
    def worked(self) -> float:
        """Seconds of processor time that it has used, and the processes that it has started."""
        process = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))

    def ask(self, method: str, path: str) -> Any:
        """What it answers, read as JSON."""
        status, body = exchange(self.port, method, path)
        if status != 200:
            raise RuntimeError(f"{method} {path} was answered {status}")
        return json.loads(body)


@contextmanager
def running(
    arguments: Sequence[str], *, port: int, ready: Ready, environ: Mapping[str, str], tree: Path | None = None
) -> Iterator[Process]:
    """A Python process, once `ready` says so. Its own words are shown if it fails.

    `tree` is another checkout, which is run with its own .venv.
    """
    python = sys.executable if tree is None else tree.absolute() / ".venv" / "bin" / "python"
    environ = {**_inherited(), **environ}
    started = subprocess.Popen([python, *arguments], cwd=tree, env=environ, stdout=subprocess.DEVNULL)
    try:
        _until_ready(started, ready)
        yield Process(pid=started.pid, port=port)
    finally:
        _end(started)


def answers(port: int, path: str) -> Ready:
    """Whether it answers 200 there."""

    def asked() -> bool:
        try:
            return exchange(port, "GET", path)[0] == 200
        except OSError:
            return False  # it does not listen yet

    return asked


@contextmanager
def listening(module: str, *arguments: str) -> Iterator[Process]:
    """A process built on `listener`, which prints its ports."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            ports = map(int, started.stdout.readline().split())
            yield Process(pid=started.pid, port=next(ports), tls_port=next(ports, 0))
        finally:
            _end(started)


def free_port() -> int:
    """A port that nobody listens on at this moment, and that the system gives to nobody by itself meanwhile."""
    while True:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", random.choice(NOT_GIVEN)))
            return int(listener.getsockname()[1])


def exchange(port: int, method: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_WITHIN)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _until_ready(started: "subprocess.Popen[bytes]", ready: Ready) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not ready():
        if started.poll() is not None:
            raise RuntimeError(f"{started.args!r} ended with {started.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{started.args!r} was not ready within {READY_WITHIN} s")
        time.sleep(POLL)


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RELEVO_", "OTEL_"))}


def _end(started: "subprocess.Popen[Any]") -> None:
    started.terminate()
    try:
        started.wait(GONE_WITHIN)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()
