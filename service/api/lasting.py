"""Dependencies of requests that last: a file coming in, an export or a live tail going out.

None of them holds a transaction while the other side takes its time: work is done in short units, and what an answer
reads while it streams comes from a session whose scope is the request, open until the last byte.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param

from service.api.dependencies import CallerDep, OrganisationDep, ServicesDep, application, use_cases
from service.api.parameters import ApplicationRef
from service.application.imports import Imports
from service.application.ports.unit_of_work import UnitOfWork
from service.application.tails import AttemptReader
from service.application.use_cases import imports as imports_of
from service.domain.applications import Application
from service.domain.errors import NotAuthenticated

TokenHolds = Callable[[], Awaitable[bool]]


async def lasting_application(
    request: Request, services: ServicesDep, caller: CallerDep, app_id: ApplicationRef
) -> Application:
    """The application of the path, found in a transaction that is over before anything lasts."""
    async with services.begin() as work:
        return await application(request, await use_cases(services, caller, work), app_id)


LastingApplicationDep = Annotated[Application, Depends(lasting_application)]


async def imports(application: LastingApplicationDep, services: ServicesDep, caller: OrganisationDep) -> Imports:
    """The use cases of the application's imports, which are an organisation's business."""
    caller.require_organisation()
    return imports_of(services, application)


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
