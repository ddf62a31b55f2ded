"""PgBouncer in transaction mode before the PostgreSQL of the tests; its program is the system's own."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import URL, make_url

from tests.support.postgres import asyncpg_dsn
from tests.support.processes import free_port

# Fewer than a process of Relevo opens towards it: connections are shared, and each transaction may get another.
CONNECTIONS = 3
READY_WITHIN = 20.0

_CONFIGURATION = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
admin_users = postgres
"""


def program() -> str:
    """Where it is. A machine without it cannot run these tests, and is told what is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    found = shutil.which("pgbouncer", path=path)
    assert found, "these tests need PgBouncer: apt-get install pgbouncer, or the like"
    return found


@asynccontextmanager
async def running_pgbouncer(url: str) -> AsyncIterator[str]:
    """The URL of the same database through a PgBouncer of its own."""
    behind, listen = make_url(url), free_port()
    configuration = _configured(behind, listen)
    process = await asyncio.create_subprocess_exec(
        program(), "--quiet", *_as_owner(Path(str(behind.query["host"]))), str(configuration)
    )
    through = behind.set(host="127.0.0.1", port=listen, query={}).render_as_string(hide_password=False)
    try:
        await _until_it_answers(through)
        yield through
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(configuration.parent)


def _configured(behind: URL, listen: int) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="relevo-pgbouncer-"))
    directory.chmod(0o755)  # it gives up being root, and reads its files afterwards
    users, configuration = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text('"postgres" ""\n')
    configuration.write_text(_CONFIGURATION.format(**behind.query, listen=listen, users=users, connections=CONNECTIONS))
    return configuration


def _as_owner(socket: Path) -> list[str]:
    """PgBouncer does not run as root, and only the server's own user may use the server's socket."""
    return [] if os.geteuid() else ["--user", pwd.getpwuid(socket.stat().st_uid).pw_name]


async def _until_it_answers(url: str) -> None:
    async with asyncio.timeout(READY_WITHIN):
        while True:
            try:
                connection = await asyncpg.connect(asyncpg_dsn(url), statement_cache_size=0)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                await connection.close()
                return
