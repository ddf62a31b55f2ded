"""What a process of Relevo takes from its machine and we can change under its feet: the time of day, and who has which
name. Where the machine does not let us, nothing is changed and the faults that need it are left out."""

import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SHIM = Path(__file__).with_name("skewed_clock.c")
HOSTS = "/etc/hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time of day as one process sees it."""

    file: Path
    library: Path | None

    @property
    def environ(self) -> dict[str, str]:
        """What the process needs in its environment."""
        if self.library is None:
            return {}
        return {"LD_PRELOAD": str(self.library), "SKEWED_CLOCK": str(self.file)}

    def jump(self, seconds: int) -> None:
        """Be off by so much from now on."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The names that processes know besides those of their machine."""

    file: Path

    @property
    def within(self) -> Sequence[str]:
        """The command that runs another one where /etc/hosts is ours."""
        if not may_mount():
            return ()
        mount = f'mount --bind "$0" {HOSTS} && exec "$@"'
        return ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(self.file))

    def point(self, name: str, address: str) -> None:
        """The name has this address from now on. The file is written in place, as the mount shows the file, not its
        name."""
        self.file.write_text(f"127.0.0.1 localhost\n{address} {name}\n")


def skewed_clock(directory: Path, name: str, library: Path | None) -> Clock:
    """A clock that is right, until it is told to jump."""
    clock = Clock(file=directory / f"{name}.clock", library=library)
    clock.file.write_bytes(struct.pack("q", 0))
    return clock


def own_hosts(directory: Path) -> Hosts:
    """No names yet."""
    hosts = Hosts(file=directory / "hosts")
    hosts.file.write_text("127.0.0.1 localhost\n")
    return hosts


def compiled_shim(directory: Path) -> Path | None:
    """The library that makes clocks wrong, or None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = directory / "skewed_clock.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SHIM, "-ldl"], check=True)
    return library


@cache
def may_mount() -> bool:
    """Whether processes can be given a view of their own on the files of the machine, and a database a disk. Not every
    container lets its root."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def may_skew() -> bool:
    """Whether clocks can be made wrong."""
    return shutil.which("cc") is not None
