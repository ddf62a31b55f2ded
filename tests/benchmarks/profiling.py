"""A profile of a process that runs, taken from outside by py-spy: which functions cost the most, callees included."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RATE = 500
SHOWN = 40
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """A function's share of the time of the thread that runs the loop."""

    where: str
    share: float


@contextmanager
def recording(pid: int, to: Path) -> Iterator[None]:
    """Sample the process during the block and keep the stacks in `to`, as flame graph programs read them."""
    command = [BIN / "py-spy", "record", "--pid", str(pid), "--format", "raw", "--output", to, "--rate", str(RATE)]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
        try:
            yield
        finally:
            spy.send_signal(signal.SIGINT)


def costs(stacks: str) -> list[Cost]:
    """The functions on the most stacks of the main thread, each counted once per stack."""
    inclusive: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_function(frame) for frame in stack.split(";")]
        total += int(count)
        inclusive.update(dict.fromkeys(dict.fromkeys(frames), int(count)))
    return [Cost(where, count / total) for where, count in inclusive.most_common(SHOWN)] if total else []


def _function(frame: str) -> str:
    """`name (file.py:12)` without the line."""
    return frame.rpartition(":")[0] + ")" if frame.endswith(")") and ":" in frame else frame
