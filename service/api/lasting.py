"""Dependencies of long requests: an import, an export, a live tail.

None of them holds a transaction while the client sends or reads: each does its work in short units of work, and a
streaming response reads from a session with the scope of the request, open until the last byte.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param

from service.api.dependencies import CallerDep, OrganisationDep, ServicesDep, application, use_cases
from service.api.parameters import ApplicationRef
from service.api.services import Services
from service.application.imports import Imports
from service.application.ports.unit_of_work import UnitOfWork
from service.application.tails import AttemptReader, MayListen
from service.application.use_cases import imports as imports_of
from service.domain.applications import Application
from service.domain.errors import NotAuthenticated


async def lasting_application(request: Request, services: ServicesDep, app_id: ApplicationRef) -> Application:
    """The application that the path names, read in a transaction that ends before the streaming begins."""
    async with services.begin() as work:
        return await application(request, await use_cases(request, work), app_id)


LastingApplicationDep = Annotated[Application, Depends(lasting_application)]


async def imports(application: LastingApplicationDep, services: ServicesDep, caller: OrganisationDep) -> Imports:
    """Use cases for the application's imports; application tokens are refused."""
    caller.require_organisation()
    return imports_of(services, application)


ImportsDep = Annotated[Imports, Depends(imports)]


async def token_holds(request: Request, services: ServicesDep, caller: CallerDep) -> MayListen:
    """A function that tells whether the request's token is still valid. It needs no query."""
    del caller  # declared so that the token is checked before the stream begins
    _, token = get_authorization_scheme_param(request.headers["authorization"])
    return while_valid(services, token)


def while_valid(services: Services, token: str) -> MayListen:
    """A function that tells whether the token is still valid. It needs no query."""

    async def holds() -> bool:
        try:
            await services.access.verify(token)
        except NotAuthenticated:
            return False
        return True

    return holds


TokenHoldsDep = Annotated[MayListen, Depends(token_holds)]


async def reading(services: ServicesDep) -> AsyncIterator[UnitOfWork]:
    """The unit of work of a streaming response. Between two reads it holds no transaction and no connection."""
    async with services.sessions() as session:
        yield services.unit_of_work(session)


ReadingDep = Annotated[UnitOfWork, Depends(reading, scope="request")]


async def attempt_reader(services: ServicesDep) -> AttemptReader:
    """Reads attempts for all live tails of this process together."""
    return services.attempt_reader


AttemptReaderDep = Annotated[AttemptReader, Depends(attempt_reader)]
