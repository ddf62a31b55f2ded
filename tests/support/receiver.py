"""A receiver of webhooks that can misbehave in every way one meets. What it does is chosen by the path called.

`python -m tests.support.receiver` runs one as a process of its own: it prints its URL and answers `GET /calls` with
what it was sent, one JSON object per line.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from ssl import SSLContext

from standardwebhooks import Webhook

from tests.support import misbehaviour
from tests.support.misbehaviour import Connection
from tests.support.patience import patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came in. Header names are as they were on the wire."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    nth: int

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its spelling."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def verify(self, secret: str) -> None:
        """Raises what `standardwebhooks` raises when the signature does not hold."""
        Webhook(secret).verify(self.body, {name.lower(): value for name, value in self.headers})

    def as_json(self) -> str:
        """One line; the body in base64."""
        return json.dumps({**asdict(self), "body": base64.b64encode(self.body).decode()})


@dataclass(slots=True, kw_only=True)
class Receiver:
    """What a running receiver was sent. `url` has no slash at its end."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    _seen: Counter[str] = field(default_factory=Counter)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def at(self, path: str) -> list[Call]:
        """The calls to one path, in order."""
        return [call for call in self.calls if call.path == path]

    async def wait_for(self, count: int, path: str | None = None, *, within: float = patient(10)) -> list[Call]:
        """The calls (to `path`), once there are at least `count`."""

        def found() -> list[Call]:
            return self.calls if path is None else self.at(path)

        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(found()) >= count)
        return found()

    async def wait_until_idle(self, *, within: float = patient(10)) -> None:
        """Until no connection is open any more."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: not self.open_connections)

    async def count_connection(self, change: int) -> None:
        """Tell that one was opened (1) or closed (-1)."""
        self.connections += max(change, 0)
        self.open_connections += change
        async with self._changed:
            self._changed.notify_all()

    async def keep(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Call:
        """Record a request and tell whoever waits for it."""
        self._seen[path] += 1
        call = Call(method=method, path=path, headers=headers, body=body, nth=self._seen[path])
        self.calls.append(call)
        async with self._changed:
            self._changed.notify_all()
        return call


@asynccontextmanager
async def running_receiver(
    ssl_context: SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Receiver]:
    """A receiver on loopback, by default on a free port. Connections that are open when it ends are cut."""
    receiver = Receiver()
    serving: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        await receiver.count_connection(1)
        # The sender hangs up on most misbehaviours, and the end of a test on the rest; TLS is no request line.
        with suppress(ConnectionError, ValueError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _serve(receiver, Connection(reader=reader, writer=writer))
        writer.transport.abort()
        serving.discard(task)
        await receiver.count_connection(-1)

    server = await asyncio.start_server(connected, host, port, ssl=ssl_context, backlog=1024)
    scheme, bound = "https" if ssl_context else "http", server.sockets[0].getsockname()[1]
    receiver.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound}"
    try:
        yield receiver
    finally:
        server.close()
        for task in serving.copy():
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _serve(receiver: Receiver, connection: Connection) -> None:
    while (request := await _read_request(connection.reader)) is not None:
        method, path, headers, body = request
        if (method, path) == ("GET", "/calls"):
            lines = "".join(f"{call.as_json()}\n" for call in receiver.calls)
            await connection.answer(200, lines.encode())
            continue
        call = await receiver.keep(method, path, headers, body)
        name, *arguments = path.partition("?")[0].strip("/").split("/")
        behaviour = misbehaviour.BY_NAME.get(name)
        if behaviour is None:
            await connection.answer(404)
        else:
            await behaviour(connection, call, arguments)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, list[tuple[str, str]], bytes] | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = []
    while (field_line := await reader.readline()) not in {b"\r\n", b""}:
        name, _, value = field_line.decode("utf-8", "replace").partition(":")
        headers.append((name, value.strip()))
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return method, path, headers, await reader.readexactly(length)


async def _main() -> None:
    async with running_receiver() as receiver:
        print(receiver.url, flush=True)  # noqa: T201 - whoever started the process reads it from there
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main())
