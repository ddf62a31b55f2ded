"""Messages of Relevo's own, accepted in somebody else's transaction by the statement that accepts all others."""

from service.adapters.postgres.queue.intake import accepting
from service.adapters.postgres.server.transaction import Transaction
from service.domain.messages import NewMessage


class PostgresOutbox:
    """Fulfils `ports.Outbox`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def send(self, message: NewMessage) -> None:
        """Owe it to whoever wants it, if this transaction commits.

        The engines are woken after the commit: a NOTIFY inside it would have all such commits wait for each other.
        """
        result = await self._transaction.execute_driver(*accepting([message]))
        if any(row.deliveries for row in result):
            self._transaction.delivery_due()
