"""What everybody uses: processor time and memory of whole process trees, from /proc."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.processes import Process

_RESET_PEAK = "5"  # what /proc/PID/clear_refs takes to make the peak the present


@dataclass(frozen=True, slots=True)
class Trees:
    """Processes with all their descendants, but for the trees `without`."""

    roots: tuple[int, ...]
    without: tuple[int, ...] = ()

    @property
    def worked(self) -> float:
        """Seconds of processor time, of those that live and of those that they have waited for."""
        return sum(map(_worked, self._processes()))

    @property
    def peak_mb(self) -> float:
        """The sum of the largest resident sets since `forget_peak`."""
        return sum(_peak_mb(process.pid) for process in self._processes())

    def forget_peak(self) -> None:
        """Begin anew, where we may: another user's process keeps the peak of its life."""
        for process in self._processes():
            with suppress(PermissionError, FileNotFoundError):
                Path(f"/proc/{process.pid}/clear_refs").write_text(_RESET_PEAK)

    def _processes(self) -> Iterator[psutil.Process]:
        left_out = set(_descendants(self.without))
        return (process for process in _descendants(self.roots) if process not in left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Seconds of processor time until the moment `at`, or between two. `machine` has everybody's."""

    at: float
    service: float
    databases: float
    generator: float
    receiver: float
    machine: float

    @property
    def foreign(self) -> float:
        """The load, in cores, of everybody who is not named here."""
        named = self.service + self.databases + self.generator + self.receiver
        return max(self.machine - named, 0.0) / self.at

    def since(self, before: "Used") -> "Used":
        """Between two moments."""
        return Used(
            at=self.at - before.at,
            service=self.service - before.service,
            databases=self.databases - before.databases,
            generator=self.generator - before.generator,
            receiver=self.receiver - before.receiver,
            machine=self.machine - before.machine,
        )


def used(service: Trees, databases: Trees, receiver: Process) -> Used:
    """Until now. The generator is a child of this process that has been waited for."""
    machine = psutil.cpu_times()
    return Used(
        at=time.monotonic(),
        service=service.worked,
        databases=databases.worked,
        generator=_worked(psutil.Process()),
        receiver=receiver.worked,
        machine=machine.user + machine.nice + machine.system + machine.steal,
    )


def _descendants(roots: Iterable[int]) -> Iterator[psutil.Process]:
    for root in map(psutil.Process, roots):
        yield root
        yield from root.children(recursive=True)


def _worked(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _peak_mb(pid: int) -> float:
    with suppress(FileNotFoundError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    return 0.0
