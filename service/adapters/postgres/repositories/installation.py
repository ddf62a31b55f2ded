"""What PostgreSQL tells of itself, of the schema that the migrations have made, and of the processes on it."""

from collections.abc import Sequence

from sqlalchemy import text

from service.adapters.postgres.server.presence import PRESENCE, ROLES
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.installation import Installation, Process

PROCESSES = beside(__name__)["processes"]
_FACTS = text("SELECT current_setting('server_version') AS database, version_num AS schema FROM alembic_version")


class PostgresInstallation:
    """Fulfils `ports.InstallationRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self) -> Installation:
        """The server's version, and the schema's revision."""
        row = (await self._transaction.execute(_FACTS)).one()
        return Installation(database=row.database, schema=row.schema)

    async def processes(self) -> Sequence[Process]:
        """The processes at work, by role."""
        rows = await self._transaction.execute_driver(*PROCESSES(presence=PRESENCE))
        # A newer release may have roles that this one does not know.
        return [Process(role=ROLES[row.role], since=row.since) for row in rows if row.role < len(ROLES)]
