"""What processes use: processor time and memory of whole process trees, from /proc."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_RESET_PEAK = "5"  # proc_pid_clear_refs(5)


@dataclass(frozen=True, slots=True)
class Trees:
    """Processes with all their descendants; `without` are trees that count elsewhere."""

    roots: tuple[int, ...]
    without: tuple[int, ...] = ()

    @property
    def worked(self) -> float:
        """Seconds of processor time, of those that live and of those that they have waited for."""
        return sum(
            float(times.user + times.system + times.children_user + times.children_system)
            for process in self._processes()
            for times in [process.cpu_times()]
        )

    @property
    def peak_mb(self) -> float:
        """The sum of the largest resident sets since `forget_peak`."""
        return sum(_peak_mb(process.pid) for process in self._processes())

    def forget_peak(self) -> None:
        """Begin anew, where we may: other users' processes keep their peak."""
        for process in self._processes():
            with suppress(PermissionError, FileNotFoundError):
                Path(f"/proc/{process.pid}/clear_refs").write_text(_RESET_PEAK)

    def _processes(self) -> Iterator[psutil.Process]:
        left_out = {process.pid for process in _descendants(self.without)}
        return (process for process in _descendants(self.roots) if process.pid not in left_out)


def machine_worked() -> float:
    """Seconds of processor time that anybody has used, or that another machine took from this one."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.steal)


def _descendants(roots: Iterable[int]) -> Iterator[psutil.Process]:
    for root in map(psutil.Process, roots):
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess), process.oneshot():
                yield process


def _peak_mb(pid: int) -> float:
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
