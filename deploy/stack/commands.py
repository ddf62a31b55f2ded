"""Runs commands that take minutes, with a deadline and a progress line every half minute."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REPORT_INTERVAL_S = 30.0

# Ignore a module's workspace file, which names directories that modules do not contain; use no C compiler; let the Go
# compiler collect garbage less often.
_GO = {"GOWORK": "off", "CGO_ENABLED": "0", "GOGC": "400"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The exit status and output of a command."""

    status: int
    output: str
    errors: str


def captured(command: list[str], *, at: Path, deadline: float, still: Callable[[], None]) -> Captured:
    """Run a command in a directory. TimeoutError when it still runs at `deadline`, a time of the monotonic clock."""
    environment = {**os.environ, **_GO}
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603  # go and its builder
        command, cwd=at, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = _output(process, deadline, still)
        except BaseException:
            # The whole process group, since the command has started compilers.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Captured(status=process.returncode, output=output, errors=errors)


def _output(process: "subprocess.Popen[str]", deadline: float, still: Callable[[], None]) -> tuple[str, str]:
    while (left := deadline - time.monotonic()) > 0:
        try:
            return process.communicate(timeout=min(left, REPORT_INTERVAL_S))
        except subprocess.TimeoutExpired:
            still()
    raise TimeoutError(process.args)
