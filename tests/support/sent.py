"""Messages that were accepted or sent, for contracts: kept through the ports that keep them."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.intake import accepting
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import Database
from service.domain import ids
from service.domain.applications import Application
from service.domain.deliveries import Attempt, attempt_of
from service.domain.endpoints import Endpoint
from service.domain.ids import AttemptId
from service.domain.messages import NewMessage
from service.domain.outcomes import ErrorType, Exchange, Failed, Outcome, Taken
from tests.support.factories import SECRET, VAULT, a_claim, new_message
from tests.support.kept import an_application, an_endpoint

TAKEN = Taken(exchange=Exchange(duration=timedelta(milliseconds=3), status=200, text="thanks"))
BROKE = Failed(exchange=Exchange(duration=timedelta(milliseconds=3), status=500), error_type=ErrorType.FAULT)


async def an_address(database: Database, **changed: Any) -> tuple[Application, Endpoint]:
    """An application with one endpoint, which is as it is said."""
    application = an_application()
    endpoint = an_endpoint(application, **changed)
    async with open_unit_of_work(database.sessions, VAULT) as work:
        await work.applications.add(application)
        await work.endpoints.add(endpoint, [SECRET], {})
    return application, endpoint


async def accepted(database: Database, application: Application, *, at: datetime, **said: Any) -> NewMessage:
    """A message of the application, owed to whoever wants it."""
    message = new_message(application.id, **({"id": new_id(ids.MESSAGE, at=at), "accepted_at": at} | said))
    await database.pool.fetch(*accepting([message]))
    return message


async def sent(
    work: PostgresUnitOfWork, endpoint: Endpoint, *, at: datetime, outcome: Outcome = TAKEN, **said: Any
) -> tuple[NewMessage, Attempt]:
    """A message that was sent to that endpoint once, and what came of it."""
    message = new_message(endpoint.app_id, **({"id": new_id(ids.MESSAGE, at=at), "accepted_at": at} | said))
    claim = replace(a_claim(), message_id=message.id, endpoint_id=endpoint.id, app_id=endpoint.app_id)
    attempt_id = AttemptId(new_id(ids.ATTEMPT, at=at))
    attempt = attempt_of(
        claim, outcome, id=attempt_id, started_at=ids.time_of(attempt_id), trace_id="a" * 32, span_id="b" * 16
    )
    await work.examples.keep(message, attempt, endpoint)
    return message, attempt
