"""The server on a real socket, and callers who write the bytes of their requests themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.patience import patient

IN_TIME = patient(20)  # seconds that the tests wait for a hanging up, however slow the machine


@dataclass(frozen=True, slots=True)
class Caller:
    """Bytes to the server, and bytes from it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def send_apart(self, *parts: bytes) -> None:
        """Each part so that the server, which runs on the same loop, reads it before the next is written."""
        for part in parts:
            await self.send(part)
            for _ in range(3):
                await asyncio.sleep(0)

    async def everything(self) -> bytes:
        """Whatever is answered until the server hangs up."""
        async with asyncio.timeout(IN_TIME):
            return await self.reader.read()

    async def exactly(self, size: int) -> bytes:
        """So many bytes of what is answered."""
        async with asyncio.timeout(IN_TIME):
            return await self.reader.readexactly(size)

    async def head_only(self) -> bytes:
        """The head of an answer, and nothing of what follows."""
        async with asyncio.timeout(IN_TIME):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def head(self) -> bytes:
        """The first line of an answer, and the rest of it read away: answers here are short and have a length."""
        async with asyncio.timeout(IN_TIME):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = [line.partition(b": ") for line in head.lower().split(b"\r\n")]
            await self.reader.readexactly(next(int(value) for name, _, value in lines if name == b"content-length"))
        return head.split(b"\r\n", 1)[0]


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


class Echo:
    """An application that tells what it was sent, and counts how often."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.lines: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT"])])

    async def _answer(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        self.requests.append(body)
        self.lines.append(f"{request.method} {request.url.path} {body.decode('latin-1')}")
        return Response(body)
