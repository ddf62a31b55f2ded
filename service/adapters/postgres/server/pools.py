"""Connection pools that measure how long each caller waits."""

import time
from collections.abc import Callable
from typing import Any

import asyncpg
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

Waited = Callable[[float], None]


def measured_queue(waited: Waited) -> type[AsyncAdaptedQueuePool]:
    """A pool class for SQLAlchemy, which needs a class since it makes new pools itself."""

    class MeasuredQueue(AsyncAdaptedQueuePool):
        """The default pool, measured."""

        def _do_get(self) -> ConnectionPoolEntry:
            began = time.perf_counter()
            try:
                return super()._do_get()
            finally:
                waited(time.perf_counter() - began)

    return MeasuredQueue


def measured_pool(address: str, *, waited: Waited, **options: Any) -> asyncpg.Pool:
    """Like `asyncpg.create_pool`, measured."""
    usual = {
        "max_queries": 50_000,
        "max_inactive_connection_lifetime": 300.0,
        "loop": None,
        "record_class": asyncpg.Record,
    }
    return _MeasuredPool(address, waited, **(usual | options))


class _MeasuredPool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg has no types
    def __init__(self, address: str, waited: Waited, **options: Any) -> None:
        super().__init__(address, **options)
        self._waited = waited

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - as asyncpg calls it
        # All ways to a connection go through this method, and there is no public hook.
        began = time.perf_counter()
        try:
            return await super()._acquire(timeout)
        finally:
            self._waited(time.perf_counter() - began)
