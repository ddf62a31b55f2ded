"""Relevo's commands as processes that are forked from one which has everything loaded.

They are processes like others: with a process id, a session, settings and outputs of their own, to be killed and waited
for. Only loading is saved, of whose two seconds of processor time the run would pay some hundred. What a start itself
does is tested with `python -m service`: by the commands' own tests, and by every process that Relevo itself starts.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Self

from tests.support.loaded import READ_AT_IMPORT, Output, carry_out

POLL = 0.02

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([carry_out.__module__])
_loading = Lock()
_first: list[BaseProcess] = []


class Fork:
    """A running command, as far as `asyncio.subprocess.Process` has the same."""

    def __init__(self, process: BaseProcess, outputs: tuple[IO[bytes], IO[bytes]]) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process
        self._outputs = outputs

    @classmethod
    async def start(cls, *arguments: str, environ: Mapping[str, str], log: IO[bytes] | None = None) -> Self:
        """Start `relevo ARGUMENTS`. Both outputs go to the log if there is one, or else to `communicate`."""
        refused = {name for name in READ_AT_IMPORT if environ.get(name) != os.environ.get(name)}
        assert not refused, f"a fork does not heed {refused}"
        await asyncio.to_thread(_load)
        outputs = (log, log) if log is not None else (_file(), _file())
        sent = [Output(output.fileno()) for output in outputs]
        process = _forks.Process(target=carry_out, args=(arguments, dict(environ), *sent), daemon=True)
        process.start()
        return cls(process, outputs)

    @property
    def returncode(self) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it without a word of warning."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        while (status := self.returncode) is None:  # noqa: ASYNC110 - whoever waits by its descriptor is the only one
            await asyncio.sleep(POLL)
        return status

    async def communicate(self) -> tuple[bytes, bytes]:
        """What it has said, and what it complained of, once it has ended. There is no log, then."""
        await self.wait()
        for output in self._outputs:
            output.seek(0)
        out, errors = (output.read() for output in self._outputs)
        await self.close()
        return out, errors

    async def close(self) -> None:
        """Leave nothing running, and nothing open but a log."""
        self.kill()
        await self.wait()
        for output in self._outputs:
            output.close()


def _file() -> IO[bytes]:
    return TemporaryFile()


def _load() -> None:
    """Return when everything is loaded, which the first process waits for."""
    with _loading:
        if not _first:
            _first.append(_forks.Process(target=int, daemon=True))
            _first[0].start()
            _first[0].join()
