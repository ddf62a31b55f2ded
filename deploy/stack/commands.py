"""Commands that take minutes: bounded, and with a word every half minute that they still run."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STILL_EVERY = 30.0

# A workspace that comes with a module names directories that the module leaves out; nothing needs a compiler of
# C; and the compiler spends its time better than on collecting its garbage.
_GO = {"GOWORK": "off", "CGO_ENABLED": "0", "GOGC": "400"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What became of a command."""

    status: int
    output: str
    errors: str


def captured(command: list[str], *, at: Path, deadline: float, still: Callable[[], None]) -> Captured:
    """Run a command in a directory. TimeoutError when it is not over at `deadline`, of the monotonic clock."""
    environment = {**os.environ, **_GO}
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603  # go and its builder
        command, cwd=at, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = _output(process, deadline, still)
        except BaseException:
            # The compilers that it started as well.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Captured(status=process.returncode, output=output, errors=errors)


def _output(process: "subprocess.Popen[str]", deadline: float, still: Callable[[], None]) -> tuple[str, str]:
    while (left := deadline - time.monotonic()) > 0:
        try:
            return process.communicate(timeout=min(left, STILL_EVERY))
        except subprocess.TimeoutExpired:
            still()
    raise TimeoutError(process.args)
