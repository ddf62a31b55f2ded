"""The session as the repositories use it. Every error that means the loss of the database becomes Unavailable."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy import CursorResult, Executable, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.residence import RESIDENTS, Residence
from service.adapters.postgres.server.wakeups import Bell, Wakeups
from service.domain.errors import Conflict, LivesElsewhere, Unavailable

_log = structlog.stdlib.get_logger("relevo.transaction")


class Transaction:
    """One session's transaction: begins with the first statement, ends with `commit` or `rollback`.

    What it makes due is announced by `wakeups` after the commit, and only then. With a `residence`, nothing is done
    for an organisation that does not live in the database: LivesElsewhere.
    """

    def __init__(
        self, session: AsyncSession, wakeups: Wakeups | None = None, residence: Residence | None = None
    ) -> None:
        self._session = session
        self._wakeups = wakeups
        self._residence = residence
        self._to_confirm = residence
        self._due: dict[Bell, float] = {}

    def delivery_due(self, seconds: float = 0.0) -> None:
        """Announce after the commit that a delivery is due in `seconds`."""
        if self._wakeups is not None:
            self._announce(self._wakeups.deliveries, seconds)

    def task_due(self, seconds: float = 0.0) -> None:
        """Announce after the commit that a background task is due in `seconds`."""
        if self._wakeups is not None:
            self._announce(self._wakeups.tasks, seconds)

    def sources_changed(self) -> None:
        """Announce after the commit that sources have changed."""
        if self._wakeups is not None:
            self._announce(self._wakeups.sources, 0.0)

    def stream_due(self, seconds: float = 0.0) -> None:
        """Announce after the commit that an ordered destination is due in `seconds`."""
        if self._wakeups is not None:
            self._announce(self._wakeups.streams, seconds)

    async def execute(self, statement: Executable) -> CursorResult[Any]:
        """Run one statement of SQLAlchemy Core."""
        with _translated():
            if self._to_confirm is not None:
                await self._confirm(self._to_confirm)
            result = await self._session.execute(statement)
        if not isinstance(result, CursorResult):
            raise TypeError("repositories use SQLAlchemy Core, not its ORM")
        return result

    async def execute_driver(self, statement: object, *parameters: object) -> CursorResult[Any]:
        """Run one statement of a `.sql` file, called with its parameters."""
        with _translated():
            if self._to_confirm is not None:
                await self._confirm(self._to_confirm)
            connection = await self._session.connection()
            return await connection.exec_driver_sql(str(statement), parameters)

    async def configure(self, setting: str) -> None:
        """Run one `SET LOCAL`; it lasts until the transaction ends."""
        with _translated():
            await self._session.execute(text(f"SET LOCAL {setting}"))

    async def commit(self) -> None:
        """Commit. Raises Unavailable when the database did not confirm it."""
        with _translated():
            await self._session.commit()
        self._to_confirm = self._residence
        due, self._due = self._due, {}
        for bell, seconds in due.items():
            bell.announce(seconds)

    async def rollback(self) -> None:
        """Roll back. Never raises: the caller has an error to report already, and a lost connection rolls back
        anyway."""
        self._due.clear()
        self._to_confirm = self._residence
        try:
            await self._session.rollback()
        except Exception as error:  # noqa: BLE001 - it would hide the error that caused the rollback
            _log.warning("transaction.rollback_failed", error_type=type(error).__qualname__)
            await self._session.invalidate()

    async def _confirm(self, residence: Residence) -> None:
        """Once in each transaction, before anything else."""
        found = await self._session.scalar(
            select(tables.organisation.c.residence).where(tables.organisation.c.org_id == residence.org_id)
        )
        if found not in RESIDENTS:
            residence.moved(residence.org_id)
            raise LivesElsewhere
        self._to_confirm = None

    def _announce(self, bell: Bell, seconds: float) -> None:
        self._due[bell] = min(seconds, self._due.get(bell, seconds))


@contextmanager
def conflict_when_taken(detail: str) -> Iterator[None]:
    """Turn a unique violation into Conflict, for updates, which have no ON CONFLICT."""
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
