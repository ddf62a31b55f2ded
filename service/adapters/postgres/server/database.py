"""Connections to PostgreSQL: SQLAlchemy's engine for the sessions of requests, a small asyncpg pool for the hot path.

The hot path (accept, claim, settle) sends one set-based statement a batch and needs no ORM in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import asyncpg
from sqlalchemy import URL, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import QueuePool

from service.adapters.postgres.server.address import read
from service.adapters.postgres.server.connections import HotConnection, WatchedConnection, connect, limits
from service.adapters.postgres.server.pools import measured_pool, measured_queue
from service.domain.errors import Unavailable

SESSIONS, HOT = "sessions", "hot"
POOL_SIZE = 10
POOL_OVERFLOW = 10
POOL_TIMEOUT = 5.0
HOT_CONNECTIONS = 4
FAREWELL = 2.0

# What a statement may take, first by the server's clock: a refusal says more than a silence. A batch of the hot path
# takes milliseconds, a page of a list may take longer, and nobody waits longer than this for either.
HOT_STATEMENT, HOT_SILENCE = 8.0, 10.0
STATEMENT, SILENCE = 20.0, 22.0

# Lists are planned for the values at hand. A plan for all values takes a rare tag for as common as any, and a page for
# a tenth of its list: at a million messages it read all of them for 50, 280 ms in place of 6.
_PLANNED_FOR_VALUES = {"plan_cache_mode": "force_custom_plan"}

# Behind a pooler the next transaction has another connection, which does not know what this one prepared. What has no
# name is forgotten with the transaction.
_NOTHING_PREPARED: dict[str, Any] = {"statement_cache_size": 0}
_NOTHING_PREPARED_BY_SESSIONS: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Open connections; `sessions` for requests, `pool` for the hot path."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    pool: asyncpg.Pool

    def pools(self) -> dict[str, "PoolGauges"]:
        """How large each pool is and how much of it is in use, to be asked at any time."""
        queue, hot = cast(QueuePool, self.engine.pool), self.pool
        return {
            SESSIONS: PoolGauges(size=lambda: queue.checkedin() + queue.checkedout(), checked_out=queue.checkedout),
            HOT: PoolGauges(size=hot.get_size, checked_out=lambda: hot.get_size() - hot.get_idle_size()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolGauges:
    """Two numbers of connections, read when asked for."""

    size: Callable[[], int]
    checked_out: Callable[[], int]


@asynccontextmanager
async def open_database(
    url: str,
    *,
    silence: float = SILENCE,
    waited: Callable[[str, float], None] = lambda _pool, _seconds: None,
    pooled: bool = False,
) -> AsyncIterator[Database]:
    """Open both pools on an address as psql takes it; closed in reverse order. A session's connection that is silent
    for so many seconds is lost. `waited` is told how long callers wait for a connection of which pool. `pooled` says
    that PgBouncer in transaction mode is at that address."""
    engine = engine_on(
        url,
        connecting={
            "command_timeout": silence,
            "connection_class": WatchedConnection,
            # What is not prepared, as behind a pooler, is planned for its values anyway.
            "server_settings": limits(statement=STATEMENT, pooled=pooled) | ({} if pooled else _PLANNED_FOR_VALUES),
            **(_NOTHING_PREPARED if pooled else {}),
        },
        adapting=_NOTHING_PREPARED_BY_SESSIONS if pooled else {},
        poolclass=measured_queue(partial(waited, SESSIONS)),
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT,
        pool_pre_ping=False,
    )
    event.listen(engine.sync_engine, "handle_error", _forget_the_silent)
    sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
    try:
        with unavailable_when_lost():
            pool = await measured_pool(
                url,
                connect=connect,
                waited=partial(waited, HOT),
                min_size=1,
                max_size=HOT_CONNECTIONS,
                command_timeout=HOT_SILENCE,
                connection_class=HotConnection,
                server_settings=limits(statement=HOT_STATEMENT, pooled=pooled),
                reset=_leave_as_it_is,
                **(_NOTHING_PREPARED if pooled else {}),
            )
        try:
            yield Database(engine=engine, sessions=sessions, pool=pool)
        finally:
            pool.terminate()
    finally:
        # Connections say goodbye, and a server that hangs does not answer.
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await engine.dispose()


def engine_on(
    url: str, *, connecting: dict[str, Any] | None = None, adapting: dict[str, Any] | None = None, **pooling: Any
) -> AsyncEngine:
    """An engine whose connections are opened as all others are. `connecting` goes to asyncpg, `adapting` to what
    SQLAlchemy wraps its connections in, `pooling` to the engine."""

    def opened(*_: Any) -> Any:
        driver: Any = engine.dialect.dbapi
        return driver.connect(async_creator_fn=partial(connect, url, **(connecting or {})), **(adapting or {}))

    engine = create_async_engine(_shown(url), creator=opened, **pooling)
    return engine


def dsn(url: str) -> str:
    """The same address in the form that asyncpg and psql read."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def _shown(url: str) -> URL:
    """What spans may say of the address: neither password nor user."""
    address = read(url)
    first = address.hosts[0]
    if first.is_socket:
        return URL.create("postgresql+asyncpg", database=address.database)
    return URL.create("postgresql+asyncpg", host=first.name, port=first.port, database=address.database)


def _forget_the_silent(context: ExceptionContext) -> None:
    """Where one connection is silent the others of its age are too, and each would have to be waited for."""
    if isinstance(context.original_exception, TimeoutError):
        context.invalidate_pool_on_disconnect = True


async def _leave_as_it_is(_connection: object) -> None:
    """Nothing on the hot path changes a connection's settings, so what would reset them is a round trip for nothing."""


@contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Turn the loss of the database, however it shows, into the one error that callers know."""
    try:
        yield
    except _LOST as error:
        raise Unavailable from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error.orig and error.orig.__cause__, _LOST):
            raise Unavailable from error
        raise
