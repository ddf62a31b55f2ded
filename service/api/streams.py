"""Dependencies of requests that last: a file coming in, an export or a live tail going out.

None of them holds a transaction while the other side takes its time: work is done in short units, and what an answer
reads while it streams comes from a session whose scope is the request, open until the last byte.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param

from service.api.dependencies import CallerDep, OrganisationDep, ServicesDep, application, unit_of_work
from service.api.parameters import ApplicationRef
from service.api.services import Services
from service.application.imports import Imports
from service.application.ports.unit_of_work import UnitOfWork
from service.application.tails import AttemptReader
from service.domain.applications import Application
from service.domain.errors import NotAuthenticated

TokenHolds = Callable[[], Awaitable[bool]]


def short_work(services: Services) -> AbstractAsyncContextManager[UnitOfWork]:
    """A unit of work of its own: committed at the end of the block, or undone."""
    return _short_work(services)


@asynccontextmanager
async def _short_work(services: Services) -> AsyncIterator[UnitOfWork]:
    async with services.sessions() as session, asynccontextmanager(unit_of_work)(services, session) as work:
        yield work


async def lasting_application(
    request: Request, services: ServicesDep, caller: CallerDep, app_id: ApplicationRef
) -> Application:
    """The application of the path, found in a transaction that is over before anything lasts."""
    async with short_work(services) as work:
        return await application(request, work, caller, app_id)


LastingApplicationDep = Annotated[Application, Depends(lasting_application)]


async def imports(application: LastingApplicationDep, services: ServicesDep, caller: OrganisationDep) -> Imports:
    """The use cases of the application's imports, which are an organisation's business."""
    caller.require_organisation()
    return Imports(
        application,
        begin=partial(short_work, services),
        intake=services.intake,
        checks=services.payload_checks,
        clock=services.clock,
        new_id=services.new_id,
    )


ImportsDep = Annotated[Imports, Depends(imports)]


async def token_holds(request: Request, services: ServicesDep, caller: CallerDep) -> TokenHolds:
    """What tells whether the token of a request that lasts holds still. It costs no query."""
    del caller  # who has been let in by it before
    _, token = get_authorization_scheme_param(request.headers["authorization"])

    async def holds() -> bool:
        try:
            await services.access.verify(token)
        except NotAuthenticated:
            return False
        return True

    return holds


TokenHoldsDep = Annotated[TokenHolds, Depends(token_holds)]


async def reading(services: ServicesDep) -> AsyncIterator[UnitOfWork]:
    """What an answer reads from while it streams. Between two reads its transaction is over and its connection free."""
    async with services.sessions() as session:
        yield services.unit_of_work(session)


ReadingDep = Annotated[UnitOfWork, Depends(reading, scope="request")]


async def attempt_reader(request: Request) -> AttemptReader:
    """What all live tails of this process read by."""
    reader: AttemptReader = request.app.state.attempt_reader
    return reader


AttemptReaderDep = Annotated[AttemptReader, Depends(attempt_reader)]
