"""One process of several, as its parent sees it: started, asked how it is, told to leave, ended."""

import asyncio
import os
import signal
import socket
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Self

import httpx

from service.observability.health import Finding, Findings
from service.observability.merging import Exposition, read
from service.supervision.instructions import Instructions

ANSWER_TIMEOUT_S = 2.0
MAX_LAST_WORDS = 1024 * 1024


class Child:
    """A process of its own. `exposition` is what its metrics were when it was last heard, `heard_at` when it last said
    that it is well (monotonic, in seconds)."""

    def __init__(
        self, process: Process, number: int, *, url: str, last_words: asyncio.StreamReader, client: httpx.AsyncClient
    ) -> None:
        self.number = number
        self.exposition: Exposition = {}
        self.ready = asyncio.Event()
        self.silent = False
        self.heard_at = time.monotonic()
        self._process = process
        self._url = url
        self._last_words = last_words
        self._client = client
        self._asked_to_leave: set[int] = set()

    @classmethod
    async def start(cls, command: Sequence[str], instructions: Instructions, client: httpx.AsyncClient) -> Self:
        """Start the command with the instructions; what these lack is filled in here."""
        reading, writing = os.pipe()
        last_words = await _reader(reading)
        with socket.create_server(("127.0.0.1", 0)) as ops, os.fdopen(writing, "wb"):
            told = replace(instructions, ops=ops.fileno(), last_words=writing)
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                pass_fds=(*told.api, told.ops, told.last_words),
                # Ctrl-C at a terminal reaches the parent alone, which hands it on.
                start_new_session=True,
            )
            url = f"http://127.0.0.1:{ops.getsockname()[1]}"
        assert process.stdin is not None  # noqa: S101  # it was asked for
        process.stdin.write(told.written())
        return cls(process, told.number, url=url, last_words=last_words, client=client)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ended(self) -> int:
        """Its exit status, once it has ended: as shells tell it, 128 and the signal's number if a signal ended it. One
        that was asked to leave before it could take notice has left, with 0."""
        status = await self._process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                self._heard((await self._last_words.read()).decode())
        if -status in self._asked_to_leave:
            return 0
        return 128 - status if status < 0 else status

    def tell(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if number != signal.SIGKILL:
            self._asked_to_leave.add(number)
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def silence(self) -> None:
        """End it, since it does not answer any more."""
        self.silent = True
        self.tell(signal.SIGKILL)

    async def leave(self, *, within: float) -> None:
        """Tell it to leave, and kill it if it has not done so in `within` seconds."""
        self.tell(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await self._process.wait()
        except TimeoutError:
            self.tell(signal.SIGKILL)
            await self._process.wait()

    async def is_alive(self) -> bool:
        """Whether it answers that it is."""
        answer = await self.ask("GET", "/livez")
        return answer is not None and answer.is_success

    async def is_ready(self) -> bool:
        """Whether it wants requests."""
        answer = await self.ask("GET", "/readyz")
        if answer is not None and answer.is_success:
            self.ready.set()
            self.heard_at = time.monotonic()
            return True
        return False

    async def findings(self, probe: str) -> Findings:
        """What it says at a probe."""
        answer = await self.ask("GET", f"{probe}?verbose")
        if answer is None:
            return {"answer": Finding(ok=False, detail="none")}
        return {name: Finding(**finding) for name, finding in answer.json()["checks"].items()}

    async def listen(self) -> None:
        """Read its metrics; if it does not answer, what it said before still holds."""
        answer = await self.ask("GET", "/metrics")
        if answer is not None and answer.is_success:
            self._heard(answer.text)

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        within: float = ANSWER_TIMEOUT_S,
    ) -> httpx.Response | None:
        """Its answer to a request of operators; None if there is none within some seconds."""
        try:
            return await self._client.request(method, self._url + target, headers=headers, content=body, timeout=within)
        except httpx.HTTPError:
            return None

    def _heard(self, text: str) -> None:
        if text:
            self.exposition = read(text)


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_LAST_WORDS)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    return reader
