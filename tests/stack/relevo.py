"""Relevo and a receiver as processes of their own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import httpx

from tests.support.patience import patient

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevo:
    """A server that is ready, and a token for it."""

    url: str
    token: str


@contextmanager
def running_relevo(directory: Path, **variables: str) -> Iterator[Relevo]:
    """`relevo serve` with its embedded database, and these variables besides those of a test."""
    port = int(variables.get("RELEVO_PORT") or _free_port())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RELEVO_", "OTEL_"))},
        "RELEVO_DATA_DIR": str(directory / "data"),
        "RELEVO_PORT": str(port),
        "RELEVO_EGRESS_ALLOW": "127.0.0.0/8",
        "RELEVO_RETRY_SCHEDULE": "[0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]",
        "RELEVO_ATTEMPT_TIMEOUT": "5",
        **variables,
    }
    url = f"http://127.0.0.1:{port}"
    log = directory / "relevo.log"
    with log.open("wb") as output, _running([*_RELEVO, "serve"], environment, output.fileno()) as process:
        eventually(lambda: process.poll() is not None or _is_ready(url), within=60)
        assert process.poll() is None, log.read_text()[-2000:]
        token = subprocess.check_output([*_RELEVO, "token"], env=environment, text=True).strip()
        yield Relevo(url=url, token=token)


@contextmanager
def running_receiver() -> Iterator[str]:
    """Gives its URL."""
    with _running([sys.executable, "-m", "tests.support.receiver"], dict(os.environ), subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()


def eventually(found: Callable[[], T | None], *, within: float = 30, else_tell: Callable[[], object] = str) -> T:
    """What `found` gives once it gives something. The stack has no way of telling us, so we ask."""
    began = monotonic()
    while not (result := found()):
        assert monotonic() < began + patient(within), f"nothing came within {patient(within)} s {else_tell()}"
        sleep(0.2)
    return result


def telemetry_to(otlp: str) -> dict[str, str]:
    """The variables that have all three signals sent there soon, over gRPC."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
    }


_RELEVO = [sys.executable, "-m", "service"]


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str], output: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=environment, stdout=output) as process:
        try:
            yield process
        finally:
            process.terminate()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
