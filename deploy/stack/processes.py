"""Runs the stack: collector, Jaeger and Prometheus on loopback, each with the project's own configuration."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from deploy.stack import programs

ROOT = Path(__file__).resolve().parents[2]
COLLECTOR_CONFIG = ROOT / "otel-collector.yaml"
JAEGER_CONFIG = ROOT / "deploy" / "jaeger" / "jaeger.yaml"
PROMETHEUS_DIRECTORY = ROOT / "deploy" / "prometheus"

_READY_TIMEOUT_S = 240.0
_STOP_TIMEOUT_S = 15.0
_POLL_INTERVAL_S = 0.1


class StackFailed(Exception):
    """A program exited or did not become ready; the text has the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The stack's ports, all on loopback."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    collector_health: int = 13133
    jaeger_otlp: int = 14317
    jaeger_http: int = 16686
    jaeger_grpc: int = 16685
    jaeger_health: int = 13134
    prometheus: int = 9090

    @classmethod
    def free(cls) -> "Ports":
        """Ports that are free at the moment."""
        with ExitStack() as opened:
            sockets = {name: opened.enter_context(socket.socket()) for name in cls.__dataclass_fields__}
            for each in sockets.values():
                each.bind(("127.0.0.1", 0))
            return cls(**{name: each.getsockname()[1] for name, each in sockets.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The addresses and files of the running stack."""

    otlp_grpc: str
    otlp_http: str
    jaeger: str
    prometheus: str
    logs: Path
    directory: Path

    def as_json(self) -> str:
        """The addresses as JSON, for `relevo demo --stack`."""
        return json.dumps({field: str(getattr(self, field)) for field in self.__dataclass_fields__}, indent=1) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """A running collector and its process id, for tests that pause or kill it."""

    pid: int
    stack: Stack


@contextmanager
def running_stack(directory: Path, ports: Ports, environ: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run all three while the block lasts, with state and logs in `directory`. `environ` overrides the variables that
    their configurations read. Raises StackFailed."""
    stack = _describe(directory, ports)
    environment = {**os.environ, **_environment(stack, ports), **(environ or {})}
    with ExitStack() as started:
        for command, ready in _commands(directory, ports):
            started.enter_context(_running(command, ready, directory, environment))
        yield stack


@contextmanager
def running_collector(directory: Path, ports: Ports, environ: Mapping[str, str] | None = None) -> Iterator[Collector]:
    """Run the collector alone."""
    stack = _describe(directory, ports)
    environment = {**os.environ, **_environment(stack, ports), **(environ or {})}
    with _running(_collector(), f"http://127.0.0.1:{ports.collector_health}/", directory, environment) as process:
        yield Collector(pid=process.pid, stack=stack)


@contextmanager
def running_jaeger(directory: Path, ports: Ports) -> Iterator[Stack]:
    """Run Jaeger alone, with its traces in `directory`."""
    stack = _describe(directory, ports)
    environment = {**os.environ, **_environment(stack, ports)}
    with _running(*_jaeger(ports), directory, environment):
        yield stack


def _describe(directory: Path, ports: Ports) -> Stack:
    return Stack(
        otlp_grpc=f"http://127.0.0.1:{ports.otlp_grpc}",
        otlp_http=f"http://127.0.0.1:{ports.otlp_http}",
        jaeger=f"http://127.0.0.1:{ports.jaeger_http}",
        prometheus=f"http://127.0.0.1:{ports.prometheus}",
        logs=directory / "logs" / "relevo.jsonl",
        directory=directory,
    )


def _environment(stack: Stack, ports: Ports) -> dict[str, str]:
    return {
        "COLLECTOR_GRPC_ADDRESS": f"127.0.0.1:{ports.otlp_grpc}",
        "COLLECTOR_HTTP_ADDRESS": f"127.0.0.1:{ports.otlp_http}",
        "COLLECTOR_HEALTH_ADDRESS": f"127.0.0.1:{ports.collector_health}",
        "JAEGER_ENDPOINT": f"127.0.0.1:{ports.jaeger_otlp}",
        "JAEGER_OTLP_ADDRESS": f"127.0.0.1:{ports.jaeger_otlp}",
        "JAEGER_HTTP_ADDRESS": f"127.0.0.1:{ports.jaeger_http}",
        "JAEGER_GRPC_ADDRESS": f"127.0.0.1:{ports.jaeger_grpc}",
        "JAEGER_HEALTH_ADDRESS": f"127.0.0.1:{ports.jaeger_health}",
        "PROMETHEUS_URL": stack.prometheus,
        "PROMETHEUS_OTLP_ENDPOINT": f"{stack.prometheus}/api/v1/otlp",
        "LOGS_FILE": str(stack.logs),
    }


def _commands(directory: Path, ports: Ports) -> list[tuple[Sequence[str], str]]:
    """Each command with the URL of its readiness probe. Receivers of telemetry come before senders."""
    shutil.copytree(PROMETHEUS_DIRECTORY, directory / "prometheus", dirs_exist_ok=True)
    return [
        (
            [
                str(programs.build(programs.PROMETHEUS)),
                f"--config.file={directory / 'prometheus' / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'series'}",
                f"--web.listen-address=127.0.0.1:{ports.prometheus}",
                "--web.enable-otlp-receiver",
                "--enable-feature=exemplar-storage",
            ],
            f"http://127.0.0.1:{ports.prometheus}/-/ready",
        ),
        _jaeger(ports),
        (_collector(), f"http://127.0.0.1:{ports.collector_health}/"),
    ]


def _jaeger(ports: Ports) -> tuple[Sequence[str], str]:
    command = [str(programs.build(programs.JAEGER)), "--config", str(JAEGER_CONFIG)]
    return command, f"http://127.0.0.1:{ports.jaeger_health}/status"


def _collector() -> Sequence[str]:
    return [str(programs.build(programs.COLLECTOR)), "--config", str(COLLECTOR_CONFIG)]


@contextmanager
def _running(
    command: Sequence[str], ready: str, directory: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    log = directory / f"{Path(command[0]).name}.log"
    with log.open("ab") as output:
        # In a session of its own, so that Ctrl-C does not stop it before the processes that send to it.
        process = subprocess.Popen(  # noqa: S603  # our own programs
            command, cwd=directory, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_ready(process, ready, log)
        yield process
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackFailed(f"{log.stem} is not ready:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(_POLL_INTERVAL_S)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310  # http on loopback, written above
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
