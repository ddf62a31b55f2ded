"""The connection pools: SQLAlchemy's engine for the sessions of requests, and a small asyncpg pool for the hot path.

The hot path (accept, claim, settle) sends one set-based statement per batch, without SQLAlchemy.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
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
POOL_TIMEOUT_S = 5.0
HOT_CONNECTIONS = 4  # two accepts and a settlement at once, and one for what is short and rare; a claim has its own
CLOSE_TIMEOUT_S = 2.0

# Time limits of statements: the server's limit, and a larger one of ours, since the server's error says more than a
# timeout. A batch of the hot path takes milliseconds, a page of a list may take longer.
HOT_STATEMENT_TIMEOUT_S, HOT_CLIENT_TIMEOUT_S = 8.0, 10.0
STATEMENT_TIMEOUT_S, CLIENT_TIMEOUT_S = 20.0, 22.0

# Lists are planned for their actual parameters. A generic plan takes a rare tag to be as common as any: with a million
# messages it read all of them for a page of 50, in 280 ms instead of 6.
_CUSTOM_PLANS = {"plan_cache_mode": "force_custom_plan"}

# Hot statements read by key, whatever the statistics of the moment say: of a queue that was empty when they were taken,
# a plan would read every row, the dead ones too.
_BY_INDEX = {"enable_seqscan": "off"}
# Claims sort nothing that an index has in order. Where little was due when the planner last counted, or it never has,
# it takes it for cheapest to read what is due to all, once for each endpoint, and to sort that. They are planned each
# time, in 1.6 ms: a plan that was kept from a time when nothing was owed goes through the whole queue.
_IN_ORDER = {**_BY_INDEX, **_CUSTOM_PLANS, "enable_sort": "off", "enable_incremental_sort": "off"}

# Behind a pooler the next transaction may have another server connection, without our prepared statements. Unnamed
# statements last for one transaction only.
_NOTHING_PREPARED: dict[str, Any] = {"statement_cache_size": 0}
_NOTHING_PREPARED_BY_SESSIONS: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}

_CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's farewell has come, the end of the connection has not
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The open pools: `sessions` for requests, `pool` for the hot path, `claims` with the connection that claims."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    pool: asyncpg.Pool
    claims: asyncpg.Pool

    def pools(self) -> dict[str, "PoolGauges"]:
        """The size and use of each pool, readable at any time."""
        queue, hot = cast(QueuePool, self.engine.pool), (self.pool, self.claims)
        return {
            SESSIONS: PoolGauges(size=lambda: queue.checkedin() + queue.checkedout(), checked_out=queue.checkedout),
            HOT: PoolGauges(
                size=lambda: sum(pool.get_size() for pool in hot),
                checked_out=lambda: sum(pool.get_size() - pool.get_idle_size() for pool in hot),
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolGauges:
    """Functions that read a pool's size and its connections in use."""

    size: Callable[[], int]
    checked_out: Callable[[], int]


@asynccontextmanager
async def open_database(
    url: str,
    *,
    silence: float = CLIENT_TIMEOUT_S,
    waited: Callable[[str, float], None] = lambda _pool, _seconds: None,
    pooled: bool = False,
) -> AsyncIterator[Database]:
    """Open both pools on an address as psql takes it; closed in reverse order. A session's connection is dead after
    `silence` seconds without an answer. `waited` is called with the pool's name and the seconds that a caller waited
    for a connection. `pooled` means that the address is that of a PgBouncer in transaction mode."""
    engine = engine_on(
        url,
        connecting={
            "command_timeout": silence,
            "connection_class": WatchedConnection,
            # Unprepared statements, as behind a pooler, are planned for their parameters anyway.
            "server_settings": limits(statement=STATEMENT_TIMEOUT_S, pooled=pooled) | ({} if pooled else _CUSTOM_PLANS),
        },
        pooled=pooled,
        poolclass=measured_queue(partial(waited, SESSIONS)),
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=False,
    )
    event.listen(engine.sync_engine, "handle_error", _drop_silent_connections)
    sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
    hot = partial(_hot_pool, url, waited=partial(waited, HOT), pooled=pooled)
    try:
        async with AsyncExitStack() as pools:
            with unavailable_when_lost():
                pool = await hot(_BY_INDEX, least=1, most=HOT_CONNECTIONS)
                pools.callback(pool.terminate)
                claims = await hot(_IN_ORDER, least=0, most=1)
                pools.callback(claims.terminate)
            yield Database(engine=engine, sessions=sessions, pool=pool, claims=claims)
    finally:
        # Closing sends a farewell, to which a hanging server does not answer.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await engine.dispose()


async def _hot_pool(
    url: str, plans: dict[str, str], *, least: int, most: int, waited: Callable[[float], None], pooled: bool
) -> asyncpg.Pool:
    """A pool for short statements, which are planned with these settings. It opens `least` connections."""
    return await measured_pool(
        url,
        connect=connect,
        waited=waited,
        min_size=least,
        max_size=most,
        command_timeout=HOT_CLIENT_TIMEOUT_S,
        connection_class=HotConnection,
        server_settings=limits(statement=HOT_STATEMENT_TIMEOUT_S, pooled=pooled) | ({} if pooled else plans),
        reset=_skip_reset,
        **(_NOTHING_PREPARED if pooled else {}),
    )


def engine_on(
    url: str, *, connecting: dict[str, Any] | None = None, pooled: bool = False, **pooling: Any
) -> AsyncEngine:
    """An engine whose connections are opened by `connect`. `connecting` are options of asyncpg, `pooling` of the
    engine. `pooled` means that the address is a PgBouncer's, behind which nothing is prepared."""
    options = {**(connecting or {}), **(_NOTHING_PREPARED if pooled else {})}
    adapting = _NOTHING_PREPARED_BY_SESSIONS if pooled else {}

    def opened(*_: Any) -> Any:
        driver: Any = engine.dialect.dbapi
        return driver.connect(async_creator_fn=partial(connect, url, **options), **adapting)

    engine = create_async_engine(_shown(url), creator=opened, **pooling)
    return engine


def dsn(url: str) -> str:
    """The same address in the form that asyncpg and psql read."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def _shown(url: str) -> URL:
    """The address as spans may show it: without password and user."""
    address = read(url)
    first = address.hosts[0]
    if first.is_socket:
        return URL.create("postgresql+asyncpg", database=address.database)
    return URL.create("postgresql+asyncpg", host=first.name, port=first.port, database=address.database)


def _drop_silent_connections(context: ExceptionContext) -> None:
    """After a timeout, drop all connections of the pool: the others are probably dead too, and each would time out."""
    if isinstance(context.original_exception, TimeoutError):
        context.invalidate_pool_on_disconnect = True


async def _skip_reset(_connection: object) -> None:
    """Reset nothing: the hot path never changes a connection's settings, and a reset would be a round trip."""


@contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Turn every error that means the loss of the database into Unavailable."""
    try:
        yield
    except _CONNECTION_ERRORS as error:
        raise Unavailable from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error.orig and error.orig.__cause__, _CONNECTION_ERRORS):
            raise Unavailable from error
        raise
