"""A profile of a process that runs, taken from outside by py-spy: what its time goes to, by function and by package."""

import re
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
EVENT_LOOP = "event loop"
BIN = Path(sys.executable).parent
ROOT = f"{Path.cwd()}/"
STARTING = "service/commands"  # runs the event loop
_WAITING = re.compile(r"threading\.py|^_worker \(.*concurrent/futures/thread\.py")


@dataclass(frozen=True, slots=True)
class Cost:
    """The share of the time that a function takes with all it calls, or a package by itself."""

    where: str
    share: float


@contextmanager
def recording(pid: int, to: Path) -> Iterator[None]:
    """Sample the process during the block and keep the stacks in `to`, as flame graph programs read them."""
    command = [BIN / "py-spy", "record", "--pid", str(pid), "--full-filenames"]
    command += ["--format", "raw", "--output", to, "--rate", str(RATE)]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
        try:
            yield
        finally:
            spy.send_signal(signal.SIGINT)


def costs(stacks: str) -> list[Cost]:
    """The functions on the most stacks, each counted once per stack."""
    inclusive: Counter[str] = Counter()
    for frames, count in _samples(stacks):
        inclusive.update(dict.fromkeys(map(_function, frames), count))
    return _shares(inclusive, of=_samples(stacks))[:SHOWN]


def packages(stacks: str) -> list[Cost]:
    """What each package takes itself; what the standard library takes is whoever's called it."""
    own: Counter[str] = Counter()
    for frames, count in _samples(stacks):
        own[next(filter(None, map(_package, reversed(frames))), EVENT_LOOP)] += count
    return _shares(own, of=_samples(stacks))


def _samples(stacks: str) -> list[tuple[list[str], int]]:
    """Each stack with how often it was seen. Threads that wait for a lock or for work are on no core, whatever py-spy
    says."""
    lines = (line.rpartition(" ") for line in stacks.splitlines())
    seen = [(stack.split(";"), int(count)) for stack, _, count in lines]
    return [(frames, count) for frames, count in seen if not _WAITING.search(frames[-1])]


def _shares(counted: Counter[str], *, of: list[tuple[list[str], int]]) -> list[Cost]:
    total = sum(count for _, count in of)
    return [Cost(where, count / total) for where, count in counted.most_common()]


def _function(frame: str) -> str:
    """`name (/path/to/file.py:12)` without line and path."""
    name, _, place = frame.partition(" (")
    path = place.rpartition(":")[0]
    return f"{name} ({path.rpartition('site-packages/')[2].removeprefix(ROOT)})"


def _package(frame: str) -> str | None:
    """`fastapi`, or `service/api`; None for the standard library and for where the program starts."""
    path = frame.partition(" (")[2]
    if "site-packages/" in path:
        return path.rpartition("site-packages/")[2].partition("/")[0].partition(".py")[0]
    parts = path.removeprefix(ROOT).split("/")
    package = "/".join(parts[:2]) if path.startswith(ROOT) and len(parts) > 2 else None
    return None if package == STARTING else package
