"""The embedded PostgreSQL: who starts it, who stops it, and what a crash leaves behind."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory

import asyncpg
import psutil
import pytest

from service.adapters.machine.embedded import EmbeddedUnavailable, open_embedded
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn

# Others may be active as well, such as autovacuum.
BUSY = "SELECT true FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'"
LASTS = "DO $$ BEGIN WHILE (pg_stat_file('busy', true)).size IS NOT NULL LOOP END LOOP; END $$"
HOLDER = """
import logging
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
import asyncio, sys
from pathlib import Path
from service.adapters.machine.embedded import open_embedded

async def hold():
    async with open_embedded(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(hold())
"""


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """One directory for all tests: each finds the cluster that the first one made, stopped."""
    with TemporaryDirectory(prefix="relevo-") as path:
        yield Path(path)


async def test_the_embedded_database_answers_and_is_named_relevo(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        assert await ask(url, "SELECT current_database()") == "relevo"


async def test_it_is_made_and_started_alike_whatever_the_environment_says(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant_for_others = {
        "LC_ALL": "xx_YY.ISO-8859-1",
        "PGPORT": "none",
        "PGDATESTYLE": "none",
        "PGDATA": "/nowhere",
        "PGCTLTIMEOUT": "none",
    }
    for name, value in meant_for_others.items():
        monkeypatch.setenv(name, value)

    async with open_embedded(directory) as url:
        made = await ask(
            url,
            "SELECT (datcollate, datctype, pg_encoding_to_char(encoding))::text FROM pg_database"
            " WHERE datname = current_database()",
        )

    assert made == "(C.UTF-8,C.UTF-8,UTF8)"
    assert running_server(directory) is None, "it was told to stop, too"
    assert meant_for_others.items() <= os.environ.items()


async def test_what_was_written_is_there_after_a_restart(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")

    async with open_embedded(data_dir) as url:
        assert await ask(url, "SELECT answer FROM kept") == 42


async def test_the_last_one_out_stops_it_and_nobody_before(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        async with open_embedded(data_dir):
            pass
        still_up = await ask(url, "SELECT 1")

    assert still_up == 1
    assert running_server(data_dir) is None


async def test_a_second_process_uses_the_same_server(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        started = running_server(data_dir)

        async with holder(data_dir) as (_, its_url):
            assert its_url == url
            assert running_server(data_dir) == started


async def test_a_killed_process_leaves_it_running_and_the_next_one_finds_it(data_dir: Path) -> None:
    async with holder(data_dir) as (process, _):
        started = running_server(data_dir)
        process.kill()
        await process.wait()

    async with open_embedded(data_dir) as url:
        assert running_server(data_dir) == started
        assert await ask(url, "SELECT 1") == 1

    assert running_server(data_dir) is None


async def test_a_server_that_was_killed_is_started_again_with_what_it_had(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        await ask(url, "CREATE TABLE survivor ()")
        os.kill(the_server(data_dir), signal.SIGKILL)

    async with open_embedded(data_dir) as url:
        assert await ask(url, "SELECT count(*) FROM survivor") == 0


async def test_a_query_that_outlives_its_server_is_waited_for(data_dir: Path) -> None:
    # What keeps the query busy is a file, so it lasts until the test has seen that it is waited for, and no longer.
    async with open_embedded(data_dir) as url:
        (busy := data_dir / "postgres" / "busy").touch()
        query = asyncio.create_task(ask_the_dying(url, LASTS))
        await until(lambda: ask(url, BUSY))
        os.kill(the_server(data_dir), signal.SIGKILL)

    opening = asyncio.create_task(ask_embedded(data_dir, "SELECT 1"))
    await until(lambda: asyncio.to_thread(said, data_dir, "is still in use"))
    busy.unlink()

    assert await opening == 1
    assert await query is None


async def test_the_number_of_a_dead_server_may_belong_to_somebody_else_by_now(data_dir: Path) -> None:
    async with open_embedded(data_dir):
        trace = (data_dir / "postgres" / "postmaster.pid").read_text()
        left_behind = trace.replace(str(the_server(data_dir)), str(os.getpid()), 1)
    (data_dir / "postgres" / "postmaster.pid").write_text(left_behind)

    async with open_embedded(data_dir) as url:
        assert await ask(url, "SELECT 1") == 1


async def test_ctrl_c_in_our_terminal_does_not_reach_it(data_dir: Path) -> None:
    async with open_embedded(data_dir):
        assert os.getsid(the_server(data_dir)) != os.getsid(0)


async def test_only_its_own_user_may_use_the_socket(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        directory = await ask(url, "SHOW unix_socket_directories")

        assert mode_of(f"{directory}/.s.PGSQL.5432") == 0o700
        assert await ask(url, "SHOW listen_addresses") == ""


async def test_its_log_is_written_over_after_a_week(data_dir: Path) -> None:
    async with open_embedded(data_dir) as url:
        with pytest.raises(asyncpg.UndefinedTableError):
            await ask(url, "SELECT * FROM nowhere")
        kept = [await ask(url, f"SHOW {name}") for name in ("log_truncate_on_rotation", "log_rotation_age")]
        (today,) = (data_dir / "postgres" / "logs").glob("???.log")

    assert kept == ["on", "1d"]
    assert 'relation "nowhere" does not exist' in today.read_text()


async def test_a_start_that_is_cancelled_leaves_nothing_running(data_dir: Path) -> None:
    async with asyncio.timeout(patient(30)), asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(open_and_wait(data_dir))
        while running_server(data_dir) is None and not opening.done():  # noqa: ASYNC110  # another program's file
            await asyncio.sleep(0.01)

        opening.cancel()

    assert opening.cancelled()
    assert running_server(data_dir) is None


def test_a_loop_that_is_torn_down_during_a_start_leaves_nothing_running(data_dir: Path) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        opening = loop.create_task(open_and_wait(data_dir))
        while running_server(data_dir) is None and not opening.done():
            loop.run_until_complete(asyncio.sleep(0.01))

    assert opening.cancelled()
    assert running_server(data_dir) is None


async def test_many_may_start_at_once_on_an_empty_directory(directory: Path) -> None:
    async def use() -> object:
        async with open_embedded(directory / "new") as url:
            return await ask(url, "SELECT 1")

    assert await asyncio.gather(*(use() for _ in range(4))) == [1, 1, 1, 1]
    assert running_server(directory / "new") is None


async def test_half_a_cluster_of_a_killed_start_does_not_matter_even_in_a_long_path(directory: Path) -> None:
    long = directory / ("a" * 110)
    (long / "postgres.new" / "base").mkdir(parents=True)
    (long / "postgres.new" / "PG_VERSION").write_text("18\n")

    async with open_embedded(long) as url:
        assert await ask(url, "SELECT 1") == 1


async def test_a_path_that_postgresql_cannot_live_in_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=r"set RELEVO_DATA_DIR to a path of letters, digits and"):
        async with open_embedded(tmp_path / "my data"):
            pass


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def ask_the_dying(url: str, query: str) -> object:
    """Without a word at the end: who answers last may be gone by then."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return await connection.fetchval(query)
    finally:
        connection.terminate()


async def ask_embedded(data_dir: Path, query: str) -> object:
    async with open_embedded(data_dir) as url:
        return await ask(url, query)


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Until what it looks for is there."""
    async with asyncio.timeout(patient(60)):
        while not await look():  # noqa: ASYNC110  # other programs' doing: nobody signals it
            await asyncio.sleep(0.02)


def said(data_dir: Path, words: str) -> bool:
    """Whether PostgreSQL has put that into one of its logs."""
    logs = [data_dir / "postgres" / "log", *(data_dir / "postgres" / "logs").glob("*.log")]
    return any(words in log.read_text() for log in logs)


def mode_of(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


async def open_and_wait(data_dir: Path) -> None:
    async with open_embedded(data_dir):
        await asyncio.Event().wait()


def running_server(data_dir: Path) -> int | None:
    try:
        # PostgreSQL makes the file before it writes its process id there.
        pid = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return None
    # Who is killed stays a zombie where nobody reaps.
    return pid if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None


def the_server(data_dir: Path) -> int:
    pid = running_server(data_dir)
    assert pid is not None
    return pid


@asynccontextmanager
async def holder(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another process that uses the server until it is told to leave."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(data_dir), stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        await process.communicate(b"\n")
