"""PostgreSQL for the benchmarks: the embedded server as it comes, with fsync on, and fresh databases."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psutil

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from service.adapters.machine.clock import new_id
from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.server import partitions, schema
from service.adapters.postgres.server.columns import seal_headers, seal_secrets
from service.adapters.postgres.server.database import dsn
from service.domain import ids
from service.domain.ids import OrgId
from service.domain.signatures import Secret

JWT_SECRET = "a secret that signs tokens in benchmarks only"
SECRET_KEY = "a secret that seals keys in benchmarks only"
SIGNING_KEY = b"0123456789abcdef01234567"
SETTINGS = {
    "RELEVO_JWT_SECRET": JWT_SECRET,
    "RELEVO_SECRET_KEY": SECRET_KEY,
    "RELEVO_EGRESS_ALLOW": "127.0.0.0/8",
}
READY_WITHIN = 60.0
TEMPLATE = "bench_template"  # migrated once; every other is a copy

T = TypeVar("T")


@contextmanager
def running_server() -> "Iterator[Server]":
    """A server in a directory of its own, both gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="relevo-bench-"))
    server = EmbeddedServer(directory)
    server.acquire()
    try:
        yield Server(server)
    finally:
        server.release()
        shutil.rmtree(directory)


class Server:
    """Makes databases. Checks first that it is as durable as it claims."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        durable = [self._fetch(f"SHOW {setting}") for setting in ("fsync", "synchronous_commit", "full_page_writes")]
        if durable != ["on", "on", "on"]:
            raise RuntimeError("benchmarks need a PostgreSQL that waits for the disk")
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(_prepare(server.url(TEMPLATE)))

    @property
    def pid(self) -> int:
        """The postmaster's."""
        checkpointer = self._fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        return int(psutil.Process(checkpointer).ppid())

    @contextmanager
    def database(self, name: str) -> "Iterator[Database]":
        """A migrated database, dropped afterwards."""
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            yield Database(url=self._server.url(name))
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def configured(self, setting: str, value: str) -> Iterator[None]:
        """The server with another setting while the block lasts."""
        self._execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        self._execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self._execute(f"ALTER SYSTEM RESET {setting}")
            self._execute("SELECT pg_reload_conf()")

    def _execute(self, statement: str) -> None:
        _with(self._server.url("postgres"), lambda connection: connection.execute(statement))

    def _fetch(self, statement: str) -> Any:
        return _with(self._server.url("postgres"), lambda connection: connection.fetchval(statement))


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database, and what is put into it."""

    url: str

    @property
    def environ(self) -> Mapping[str, str]:
        """The settings of a process that uses it."""
        return {"RELEVO_DATABASE_URL": self.url, **SETTINGS}

    def value(self, query: str, *arguments: object) -> Any:
        """The one value that a query gives."""
        return _with(self.url, lambda connection: connection.fetchval(query, *arguments, timeout=600))

    def execute(self, statement: str, *arguments: object) -> None:
        """Run a statement, however long it takes."""
        _with(self.url, lambda connection: connection.execute(statement, *arguments, timeout=1800))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.value(f"SELECT count(*) FROM {table}"))

    def add_application(self, *endpoint_urls: str, org_id: OrgId = DEFAULT_ORGANISATION) -> str:
        """An application with an endpoint for each URL, all with the same key."""
        return asyncio.run(_add_application(self.url, endpoint_urls, org_id))


def token(org_id: OrgId = DEFAULT_ORGANISATION) -> str:
    """A token for an organisation whose applications these are."""
    return Tokens(JWT_SECRET).mint(org_id, now=datetime.now(UTC))


async def _prepare(url: str) -> None:
    await schema.migrate(url)
    connection = await asyncpg.connect(dsn(url))
    try:
        await partitions.ensure(connection, now=datetime.now(UTC))
    finally:
        await connection.close()


async def _add_application(url: str, endpoint_urls: tuple[str, ...], org_id: OrgId) -> str:
    vault = AesVault([SECRET_KEY])
    app_id = new_id(ids.APPLICATION)
    connection = await asyncpg.connect(dsn(url))
    try:
        await connection.execute(
            "INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
            " VALUES ($1, $2, 'benchmark', '{}', now(), now())",
            app_id,
            org_id,
        )
        await connection.executemany(
            "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets,"
            " headers, created_at, updated_at) VALUES ($1, $2, $3, $4, '', 1, false, '{}', $5, $6, now(), now())",
            [
                (
                    new_id(ids.ENDPOINT),
                    org_id,
                    app_id,
                    endpoint_url,
                    seal_secrets(vault, [Secret(key=SIGNING_KEY)]),
                    seal_headers(vault, {}),
                )
                for endpoint_url in endpoint_urls
            ],
        )
    finally:
        await connection.close()
    return app_id


def _with(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    return asyncio.run(_connected(url, work))


async def _connected(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    connection = await asyncpg.connect(dsn(url), timeout=READY_WITHIN)
    try:
        return await work(connection)
    finally:
        await connection.close()
