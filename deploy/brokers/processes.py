"""Runs one program on loopback, which can be killed and started again with the data that it had."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

READY_TIMEOUT_S = 240.0  # Erlang and Java take a minute each on a busy machine
_STOP_TIMEOUT_S = 20.0
_POLL_INTERVAL_S = 0.1


class BrokerFailed(Exception):
    """A program exited or did not become ready; the text has the end of its log."""


@dataclass(slots=True, kw_only=True)
class Broker:
    """A program that is ready once it accepts connections at `port`.

    `helpers` are commands that it needs beside it, started before and ended after it.
    """

    name: str
    command: Sequence[str]
    directory: Path
    port: int
    environ: Mapping[str, str] = field(default_factory=dict)
    helpers: Sequence[Sequence[str]] = ()
    _running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def launch(self) -> None:
        """Start it, without waiting for it."""
        for command in (*self.helpers, self.command):
            self._running.append(self._started(command))

    def until_ready(self) -> None:
        """Wait until it accepts connections. Raises BrokerFailed."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _accepts(self.port):
            if self._running[-1].poll() is not None or time.monotonic() > deadline:
                raise BrokerFailed(f"{self.name} is not ready:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(_POLL_INTERVAL_S)

    def start(self) -> None:
        """Start it and wait until it is ready. Raises BrokerFailed."""
        self.launch()
        self.until_ready()

    def kill(self) -> None:
        """End it without a word of warning. Nobody listens at its port when this returns. Raises BrokerFailed."""
        for process in reversed(self._running):
            _signal(process, signal.SIGKILL)
            process.wait()
        self._running.clear()
        self._until_gone()

    def stop(self) -> None:
        """Ask it to leave, and wait until it has; a broker that stays is killed."""
        for process in reversed(self._running):
            _signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT_S)
            _signal(process, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def _until_gone(self) -> None:
        """What a script has started is killed with it, and ends a moment later."""
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while _accepts(self.port):
            if time.monotonic() > deadline:
                raise BrokerFailed(f"{self.name} still listens after it was killed")
            time.sleep(_POLL_INTERVAL_S)

    @property
    def pid(self) -> int:
        """The id of the process and of its group, for tests that pause it."""
        return self._running[-1].pid

    @property
    def _log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def _started(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as output:
            # In a session of its own, so that Ctrl-C does not stop it before those who talk to it.
            return subprocess.Popen(  # noqa: S603  # our own programs
                list(command),
                cwd=self.directory,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """To all of its session, since RabbitMQ is a shell script that starts Erlang."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_ports(count: int) -> list[int]:
    """As many ports of 127.0.0.1 that are free at the moment."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
