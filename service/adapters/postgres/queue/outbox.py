"""The outbox: accepts operational webhooks in the caller's transaction, by the statement that accepts all messages."""

from service.adapters.postgres.queue.intake import accepting
from service.adapters.postgres.server.transaction import Transaction
from service.domain.messages import NewMessage


class PostgresOutbox:
    """Fulfils `ports.Outbox`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def send(self, message: NewMessage) -> None:
        """Queue the message, if this transaction commits.

        Engines are woken after the commit, since a NOTIFY inside a transaction serialises commits.
        """
        rows = (await self._transaction.execute_driver(*accepting([message]))).all()
        if any(row.deliveries for row in rows):
            self._transaction.delivery_due()
        if any(row.numbered for row in rows):
            self._transaction.stream_due()
