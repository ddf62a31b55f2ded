"""The session as the repositories use it: the loss of the database is `Unavailable`, whatever it looks like below."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy import CursorResult, Executable, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.engine import unavailable_when_lost
from service.domain.errors import Conflict, Unavailable

_log = structlog.stdlib.get_logger("relevo.transaction")


class Transaction:
    """One session's transaction: begins with the first statement, ends with `commit` or `rollback`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def execute(self, statement: Executable) -> CursorResult[Any]:
        """Run one statement of SQLAlchemy Core."""
        with _translated():
            result = await self._session.execute(statement)
        if not isinstance(result, CursorResult):
            raise TypeError("repositories speak Core, not ORM")
        return result

    async def execute_driver(self, statement: str, parameters: tuple[object, ...] = ()) -> None:
        """Run one statement as asyncpg writes it, for those that the hot path shares."""
        with _translated():
            connection = await self._session.connection()
            await connection.exec_driver_sql(statement, parameters)

    async def configure(self, setting: str) -> None:
        """Run one `SET LOCAL`; it holds until the transaction ends."""
        with _translated():
            await self._session.execute(text(f"SET LOCAL {setting}"))

    async def commit(self) -> None:
        """Make it last. Unavailable when the database did not say so."""
        with _translated():
            await self._session.commit()

    async def rollback(self) -> None:
        """Undo it. Never raises: whoever undoes has an error to tell of, and the server undoes what it has lost."""
        try:
            await self._session.rollback()
        except Exception as error:  # noqa: BLE001 - it would take the place of the error that it follows from
            _log.warning("transaction.rollback_failed", error_type=type(error).__qualname__)
            await self._session.invalidate()


@contextmanager
def conflict_when_taken(detail: str) -> Iterator[None]:
    """Turn a refused unique value into `Conflict`, for updates, which have no ON CONFLICT."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(detail) from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with unavailable_when_lost():
            yield
    except NoConnectionFree as error:
        raise Unavailable from error
