"""The real collector as benchmarks do it harm: stopped, killed and started again on the same ports."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.stack import processes as programs
from deploy.stack.processes import Ports


class RealCollector:
    """One that keeps log lines in its file. Spans it counts and forgets, metrics it passes on to `metrics_to`."""

    def __init__(self, directory: Path, *, metrics_to: str) -> None:
        self._directory = directory
        self._ports = Ports.free()
        self._environ = {"TRACES_KEPT_PERCENT": "0", "PROMETHEUS_OTLP_ENDPOINT": metrics_to}
        self._running = ExitStack()
        self._pid = 0

    @property
    def environ(self) -> Mapping[str, str]:
        """What has a process tell it everything."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._ports.otlp_grpc}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        }

    @property
    def kept(self) -> int:
        """The bytes in its file of log lines."""
        file = self._directory / "logs" / "relevo.jsonl"
        return file.stat().st_size if file.exists() else 0

    def start(self) -> None:
        """Start it and wait until it is ready."""
        started = programs.running_collector(self._directory, self._ports, self._environ)
        self._pid = self._running.enter_context(started).pid

    def kill(self) -> None:
        """End it without a word of warning."""
        os.kill(self._pid, signal.SIGKILL)
        self._running.close()

    def stand_still(self) -> None:
        """It keeps its connections and answers nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After it stood still."""
        os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        """Leave nothing running."""
        self._running.close()


@contextmanager
def collecting(directory: Path, *, metrics_to: str) -> Iterator[RealCollector]:
    """A collector that runs."""
    collector = RealCollector(directory, metrics_to=metrics_to)
    collector.start()
    try:
        yield collector
    finally:
        collector.close()
