"""A PostgreSQL that is ours to kill: its own server, started and ended at will, reached over a wire that can be cut."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy import make_url

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.server import schema
from tests.faults.surroundings import may_mount
from tests.faults.wire import Wire, open_wire
from tests.support.postgres import asyncpg_dsn

NAME = "relevo"
ANSWERS_WITHIN = 60.0
POLL = 0.05
DISK = "400m"
BLOCK = 4096
END_OTHERS = """
    SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> ALL ($1::int[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FragileDatabase:
    """`url` leads over the wire, `direct` does not."""

    server: EmbeddedServer
    directory: Path
    wire: Wire
    direct: str

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.wire.port}/{NAME}"

    def kill(self) -> None:
        """SIGKILL to the server; what it had in memory is gone."""
        os.kill(int(_trace(self.directory)[0]), signal.SIGKILL)

    async def start(self) -> None:
        """Start it again and wait for the end of its recovery."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            await asyncio.to_thread(self.server.start)
            while not await self._answers():
                await asyncio.sleep(POLL)
                await asyncio.to_thread(self.server.start)

    async def start_as_standby(self) -> None:
        """Start it again as a standby that follows nobody: it recovers, answers questions, and takes nothing."""
        (self.directory / "postgres" / "standby.signal").touch()
        await self.start()

    async def promote(self) -> None:
        """End its recovery; it takes everything again."""
        await self.execute("SELECT pg_promote(wait => true)")

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """It takes nothing from anybody while the block lasts."""
        await self.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            await self.execute("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """No byte is left on its disk while the block lasts. Whether the server survives that is its own affair."""
        filler = self.directory / "filler"
        await asyncio.to_thread(_fill, filler)
        try:
            yield
        finally:
            filler.unlink()

    async def execute(self, *statements: str) -> None:
        """These statements, past the wire, whatever the server's default may be."""
        async with self.asking({"default_transaction_read_only": "off"}) as connection:
            for statement in statements:
                await connection.execute(statement)

    @asynccontextmanager
    async def asking(self, settings: Mapping[str, str] | None = None) -> AsyncIterator[asyncpg.Connection]:
        """A connection past the wire."""
        connection = await asyncpg.connect(asyncpg_dsn(self.direct), server_settings=settings)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[None]:
        """Every statement on the table hangs while the block lasts."""
        async with self.asking() as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    @asynccontextmanager
    async def exhausted(self) -> AsyncIterator[None]:
        """Nobody else gets a connection while the block lasts, and whoever had one has lost it."""
        held: list[asyncpg.Connection] = []
        try:
            while not held or await held[0].fetchval(END_OTHERS, [one.get_server_pid() for one in held]):
                # Whoever was faster than we are in taking what came free loses it in the next round.
                while (one := await self._one_more()) is not None:
                    held.append(one)
            yield
        finally:
            await asyncio.gather(*(connection.close() for connection in held))

    async def _one_more(self) -> "asyncpg.Connection | None":
        try:
            return await asyncpg.connect(asyncpg_dsn(self.direct))
        except asyncpg.TooManyConnectionsError:
            return None

    async def _answers(self) -> bool:
        try:
            await self.execute("SELECT")
        except (asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, OSError):
            return False
        return True


@asynccontextmanager
async def open_fragile_database(directory: Path, *, options: Sequence[str] = ()) -> AsyncIterator[FragileDatabase]:
    """A migrated database. What was committed is on disk: nothing is taken from PostgreSQL's promises."""
    server = EmbeddedServer(directory, options=options)
    await asyncio.to_thread(server.acquire)
    try:
        async with open_wire(lambda: _socket_of(directory)) as wire:
            direct = make_url(server.url(NAME)).render_as_string(hide_password=False)
            database = FragileDatabase(server=server, directory=directory, wire=wire, direct=direct)
            await _create(server)
            await schema.migrate(direct)
            yield database
    finally:
        await asyncio.to_thread(server.release)


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A directory with a disk of its own, where we may mount one."""
    directory.mkdir()
    if not may_mount():
        yield directory
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(BLOCK))


async def _create(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(server.url("postgres")))
    try:
        await connection.execute(f"CREATE DATABASE {NAME}")
    finally:
        await connection.close()


def _trace(directory: Path) -> list[str]:
    return (directory / "postgres" / "postmaster.pid").read_text().splitlines()


def _socket_of(directory: Path) -> str:
    """OSError while there is none: before it is started, and while it writes its trace."""
    trace = _trace(directory)
    if len(trace) < 5:
        raise ConnectionRefusedError(f"the server in {directory} does not listen yet")
    port, socket_directory = trace[3:5]
    return f"{socket_directory}/.s.PGSQL.{port}"
