"""The life of a request, from top to bottom: session, unit of work, caller, application, use cases.

Every dependency that holds something ends with `scope="function"`: its exit runs before the answer is sent. That is
what makes a 2xx true, since the transaction is committed by then, and a commit that fails becomes a 5xx.
"""

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from httpx import AsyncClient
from opentelemetry import trace
from sqlalchemy.ext.asyncio import AsyncSession

from service.api.services import Services
from service.application.access import Caller
from service.application.applications import Applications
from service.application.deliveries import Deliveries
from service.application.endpoints import Endpoints
from service.application.event_types import EventTypes
from service.application.messages import Messages
from service.application.ports import UnitOfWork
from service.domain.applications import Application
from service.domain.errors import NotAuthenticated, NotFound, RelevoError

_READING = frozenset({"GET", "HEAD"})


async def services(request: Request) -> Services:
    """What the lifespan opened. A coroutine, since FastAPI would run a plain function in a thread."""
    opened: Services = request.app.state.services
    return opened


ServicesDep = Annotated[Services, Depends(services)]


async def session(services: ServicesDep) -> AsyncIterator[AsyncSession]:
    """A session of the request's own; it takes a connection when the first statement needs one."""
    async with services.sessions() as opened:
        yield opened


SessionDep = Annotated[AsyncSession, Depends(session, scope="function")]


async def unit_of_work(services: ServicesDep, session: SessionDep) -> AsyncIterator[UnitOfWork]:
    """One transaction for the whole request, committed when the route has answered and undone when it has raised."""
    work = services.unit_of_work(session)
    try:
        yield work
        await work.commit()
    except BaseException as error:
        await work.rollback()
        if not isinstance(error, RelevoError):
            structlog.stdlib.get_logger(__name__).warning("transaction.rolled_back", error_type=type(error).__name__)
        raise


UnitOfWorkDep = Annotated[UnitOfWork, Depends(unit_of_work, scope="function")]


async def wake(services: ServicesDep) -> AsyncIterator[None]:
    """Tell the engine that something is due. Named among a route's own `dependencies`, it is entered before the unit
    of work and so ends after the commit, when there is something to see."""
    yield
    services.wake()


async def http_client(services: ServicesDep) -> AsyncIterator[AsyncClient]:
    """The process-wide client: it outlives the request, so that connections are used again."""
    yield services.http_client


HttpClientDep = Annotated[AsyncClient, Depends(http_client, scope="function")]

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="What `relevo token` prints.")


async def caller(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """Whom the bearer token speaks for; somebody who may only read is refused everything else here."""
    if credentials is None:
        raise NotAuthenticated
    found = services.tokens.verify(credentials.credentials)
    structlog.contextvars.bind_contextvars(org_id=found.org_id)
    trace.get_current_span().set_attribute("relevo.org.id", found.org_id)
    if request.method not in _READING:
        found.require_write()
    return found


CallerDep = Annotated[Caller, Depends(caller)]


async def organisation(caller: CallerDep) -> Caller:
    """The caller, who must be a whole organisation."""
    caller.require_organisation()
    return caller


OrganisationDep = Annotated[Caller, Depends(organisation)]


async def application(
    work: UnitOfWorkDep,
    caller: CallerDep,
    app_id: Annotated[str, Path(description="The application's id or uid.")],
) -> Application:
    """The application of the path: the caller's own, or else there is none."""
    found = None if "\x00" in app_id else await work.applications.get(caller.org_id, app_id)
    if found is None or caller.app_id not in {None, found.id}:
        raise NotFound("Application not found")
    structlog.contextvars.bind_contextvars(app_id=found.id)
    trace.get_current_span().set_attribute("relevo.app.id", found.id)
    return found


ApplicationDep = Annotated[Application, Depends(application)]


async def applications(work: UnitOfWorkDep, caller: OrganisationDep, services: ServicesDep) -> Applications:
    """The use cases of the organisation's applications."""
    return Applications(caller.org_id, work.applications, clock=services.clock, new_id=services.new_id)


async def event_types(work: UnitOfWorkDep, caller: CallerDep, services: ServicesDep) -> EventTypes:
    """The use cases of the organisation's event types."""
    return EventTypes(caller.org_id, work.event_types, clock=services.clock)


async def endpoints(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> Endpoints:
    """The use cases of the application's endpoints."""
    return Endpoints(
        application,
        work.endpoints,
        work.event_types,
        clock=services.clock,
        new_id=services.new_id,
        new_key=services.new_key,
        key_pairs=services.key_pairs,
        https_only=services.https_only,
    )


async def messages(application: ApplicationDep, work: UnitOfWorkDep) -> Messages:
    """The reading of the application's messages."""
    return Messages(application, work.messages)


async def deliveries(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> Deliveries:
    """The use cases of the application's deliveries."""
    return Deliveries(application, work.deliveries, work.messages, clock=services.clock, new_id=services.new_id)


ApplicationsDep = Annotated[Applications, Depends(applications)]
EventTypesDep = Annotated[EventTypes, Depends(event_types)]
EndpointsDep = Annotated[Endpoints, Depends(endpoints)]
MessagesDep = Annotated[Messages, Depends(messages)]
DeliveriesDep = Annotated[Deliveries, Depends(deliveries)]
