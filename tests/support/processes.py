"""Relevo in processes of its own, as people run it: started, waited for, killed, told to stop."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import httpx

from tests.support.certificates import NO_AUTHORITIES
from tests.support.forks import Fork
from tests.support.patience import patient, unhurried

READY_WITHIN = patient(60)
GONE_WITHIN = patient(30)
POLL = 0.05
LONGEST_ATTEMPT = 30.0  # seconds that receivers here and now may take to answer, however busy the machine
SECRET = "a secret of thirty-two characters and more"


class RelevoProcess:
    """One `relevo serve` or `relevo worker` that can be started again after its end. Its log outlives it."""

    def __init__(self, role: str, environ: Mapping[str, str], log: Path, *, within: Sequence[str] = ()) -> None:
        """`within` is a command that runs the one given to it, in the same process. Without any, it is forked."""
        self._role = role
        self._within = within
        self._environ = environ
        self._log = log
        self._process: Process | Fork | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as output:
            if self._within:
                self._process = await self._executed(output)
            else:
                self._process = await Fork.start(self._role, environ=environment(self._environ), log=output)
        await self._until_ready()

    async def _executed(self, output: BinaryIO) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._within,
            *command(self._role),
            env=environment(self._environ),
            stdout=output,
            stderr=output,
            # A session of its own, so that Ctrl-C ends the test and the test ends the process.
            start_new_session=True,
        )

    async def kill(self) -> None:
        """End it without a word of warning: SIGKILL."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to leave, by SIGTERM, and return its exit status."""
        return await self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        # Not by the process's own `send_signal`, which may reap it first: whoever waits would be told status 255.
        os.kill(self._process.pid, number)

    def send_to_all(self, number: signal.Signals) -> None:
        """Send a signal to its group of processes, as a terminal does."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        async with asyncio.timeout(GONE_WITHIN):
            return await self._process.wait()

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def children(self) -> dict[int, int]:
        """Of several processes behind its port, the process id that was last ready at each number."""
        return {int(str(event["number"])): int(str(event["pid"])) for event in self.events("process.ready")}

    @property
    def environ(self) -> Mapping[str, str]:
        """Its settings."""
        return self._environ

    def peak_memory(self) -> int:
        """The most bytes of memory that it, in this life or since `forget_peak`, has had resident at once; 0 when it is
        gone."""
        if self._process is None or not self.alive:
            return 0
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def forget_peak(self) -> None:
        """Measure `peak_memory` anew."""
        assert self._process is not None
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    async def close(self) -> None:
        """Leave nothing running."""
        if self.alive:
            await self.kill()

    def events(self, name: str) -> list[dict[str, object]]:
        """The lines it has logged under that name, over all its lives."""
        return [event for event in self._logged() if event["event"] == name]

    def errors(self) -> list[dict[str, object]]:
        """The lines that tell of an error, over all its lives."""
        return [event for event in self._logged() if event["level"] in {"error", "critical"}]

    def _logged(self) -> list[dict[str, object]]:
        read = map(_read, self._log.read_text().splitlines())
        return [event for event in read if event is not None]

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self.send(number)
        return await self.ended()

    async def _until_ready(self) -> None:
        assert self._process is not None
        before = len(self.events("worker.ready"))
        async with asyncio.timeout(READY_WITHIN):
            while not await self._is_ready(before):
                assert self._process.returncode is None, self._log.read_text()[-3000:]
                await asyncio.sleep(POLL)

    async def _is_ready(self, before: int) -> bool:
        if self._role == "worker":
            return len(self.events("worker.ready")) > before
        return await _answers(f"http://127.0.0.1:{self._environ['RELEVO_PORT']}/readyz")


@asynccontextmanager
async def running(*processes: RelevoProcess) -> AsyncIterator[None]:
    """Start them, all at once; whichever still runs at the end is killed."""
    async with AsyncExitStack() as stack:
        for process in processes:
            stack.push_async_callback(process.close)
        async with asyncio.TaskGroup() as group:
            for process in processes:
                group.create_task(process.start())
        yield


async def run(*arguments: str, environ: Mapping[str, str]) -> tuple[int | None, str, str]:
    """Run the command to its end, forked: its exit status, what it said, and what it complained of."""
    return await _to_its_end(await Fork.start(*arguments, environ=environment(environ)))


async def run_anew(*arguments: str, environ: Mapping[str, str]) -> tuple[int | None, str, str]:
    """The same, started and loaded as people do it."""
    started = await asyncio.create_subprocess_exec(
        *command(*arguments), env=environment(environ), stdout=PIPE, stderr=PIPE
    )
    return await _to_its_end(started)


async def _to_its_end(process: Process | Fork) -> tuple[int | None, str, str]:
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def asking(url: str = "", **headers: str) -> httpx.AsyncClient:
    """A client of a server here and now, who waits for its answers however busy the machine is."""
    return httpx.AsyncClient(
        base_url=url, headers=headers, timeout=READY_WITHIN, trust_env=False, verify=NO_AUTHORITIES
    )


def settings(**others: str) -> dict[str, str]:
    """Settings for a server on a free port that may call receivers on this machine, and gives up on them soon: after
    two seconds where nobody else works."""
    return {
        "RELEVO_PORT": str(free_port()),
        "RELEVO_JWT_SECRET": SECRET,
        "RELEVO_SECRET_KEY": SECRET,
        "RELEVO_EGRESS_ALLOW": "127.0.0.0/8",
        "RELEVO_ATTEMPT_TIMEOUT": f"{min(unhurried(2), LONGEST_ATTEMPT):.1f}",
        "RELEVO_RETRY_SCHEDULE": "[1, 1, 1]",
        **others,
    }


def command(*arguments: str) -> list[str]:
    """The command line, whether or not the script is on the path."""
    return [sys.executable, "-m", "service", *arguments]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours without its settings, and then those of `environ`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("RELEVO_", "OTEL_"))}
    return {**ours, **environ}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _answers(url: str) -> bool:
    async with asking() as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx.TransportError:
            return False


def _read(line: str) -> dict[str, object] | None:
    """A line of the log; None for what is no event, and for one that a SIGKILL has cut off."""
    with suppress(ValueError):
        if line.startswith("{"):
            event: dict[str, object] = json.loads(line)
            return event
    return None
