"""What `make stack` and `make brokers` do alike: build programs, tell where they run, and stay until Ctrl-C or until
a demo has ended."""

import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from deploy.stack.programs import Program, build, cache_directory


def tell(text: str) -> None:
    """To whoever looks on; what is told is no result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def build_all(wanted: Iterable[Program]) -> None:
    """Build what is missing, and tell where each program is. Raises CannotBuild."""
    tell(f"Programs are kept in {cache_directory()}; building one takes minutes, once.")
    for program in wanted:
        tell(f"{program.name}: {build(program, tell=tell)}")


def run_to_its_end(command: Sequence[str]) -> int:
    """Run a command of ours; its status. Ctrl-C reaches it by itself, SIGTERM is handed on: it has its time to end,
    which `subprocess.run` does not give it, and then KeyboardInterrupt is raised."""
    told: list[int] = []
    process = subprocess.Popen(command)  # noqa: S603  # ourselves

    def leave(number: int, _: object) -> None:
        told.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        raise KeyboardInterrupt
    return status


def stay(*, greeting: str, file: Path, addresses: str) -> NoReturn:
    """Stay until a signal ends it. Meanwhile `file` has the addresses, for other commands to find."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(addresses)
    try:
        sys.stdout.write(greeting)
        sys.stdout.flush()
        while True:
            signal.pause()
    finally:
        file.unlink(missing_ok=True)
