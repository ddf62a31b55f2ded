"""The dependencies of a request, in order: caller, the database of the caller, session, unit of work, use cases.

Every dependency that holds a resource has `scope="function"`: its exit runs before the response is sent. So a 2xx
means that the transaction is committed, and a failed commit becomes a 5xx.
"""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from service.api import permissions
from service.api.parameters import ApplicationRef
from service.api.services import Services
from service.application.access import Caller
from service.application.applications import Applications
from service.application.audit import AuditTrail
from service.application.background_tasks import BackgroundTasks
from service.application.brands import Brands
from service.application.contents import Contents
from service.application.deliveries import Deliveries
from service.application.destinations import Destinations
from service.application.endpoints import Endpoints
from service.application.event_types import EventTypes
from service.application.examples import Examples
from service.application.messages import Messages
from service.application.pollers import Pollers
from service.application.ports.destinations import AttemptMaker
from service.application.ports.unit_of_work import UnitOfWork
from service.application.replays import Replays
from service.application.revocations import Revocations
from service.application.sources import Sources
from service.application.statistics import Statistics
from service.application.tokens import OrganisationTokens
from service.application.use_cases import UseCases
from service.domain.applications import Application
from service.domain.errors import NoToken, RelevoError, Unavailable
from service.observability.naming import name


def services_of(request: Request) -> Services:
    """The services that the lifespan opened, for dependencies. As one more dependency of each it would be a third of
    all that FastAPI analyses at a start and solves for a request."""
    opened: Services = request.app.state.services
    return opened


async def process_services(request: Request) -> Services:
    """The same for routes that nobody has to be known to. A coroutine, since FastAPI would run a plain function in a
    thread."""
    return services_of(request)


ProcessServicesDep = Annotated[Services, Depends(process_services)]

_WITHOUT_BEARER = "The header `Authorization` must be `Bearer <token>`."
bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="What `relevo token` prints.")


async def caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Caller:
    """Authenticate the bearer token and check that it allows the operation. Cached in the request's state.

    NoToken, NotAuthenticated, NotAllowed.
    """
    asked: Caller | None = getattr(request.state, "caller", None)
    if asked is not None:
        return asked
    if credentials is None:
        raise NoToken(_WITHOUT_BEARER if "authorization" in request.headers else None)
    return await authenticated(request, services_of(request), credentials.credentials)


async def authenticated(request: Request, services: Services, token: str) -> Caller:
    """The caller that the token authenticates, if it may call the operation. NotAuthenticated, NotAllowed."""
    found = await services.access.verify(token)
    name(org_id=found.org_id)
    operation = getattr(request.scope["route"], "operation_id", None)
    permissions.check(found, operation=operation)
    request.state.caller = found
    return found


CallerDep = Annotated[Caller, Depends(caller)]


async def organisation(caller: CallerDep) -> Caller:
    """The caller, which must be an organisation, not one application. NotAllowed."""
    caller.require_organisation()
    return caller


OrganisationDep = Annotated[Caller, Depends(organisation)]


async def services(request: Request, caller: CallerDep) -> Services:
    """The services of the database in which the caller's organisation lives. Unavailable.

    They and the caller are kept in the request's state, for what depends on them by way of the unit of work.
    """
    request.state.caller = caller
    found: Services = await services_of(request).of(caller.org_id)
    request.state.services = found
    return found


ServicesDep = Annotated[Services, Depends(services)]


async def session(services: ServicesDep) -> AsyncIterator[AsyncSession]:
    """A session of the caller's database; it takes a connection from the pool at its first statement."""
    async with services.sessions() as opened:
        yield opened


SessionDep = Annotated[AsyncSession, Depends(session, scope="function")]


async def unit_of_work(request: Request, session: SessionDep) -> AsyncIterator[UnitOfWork]:
    """One transaction for the whole request: committed when the route returns, rolled back when it raises."""
    services: Services = request.state.services
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


async def http_client(services: ProcessServicesDep) -> AsyncIterator[AsyncClient]:
    """The HTTP client of the process; it outlives the request, so connections are reused."""
    yield services.http_client


HttpClientDep = Annotated[AsyncClient, Depends(http_client, scope="function")]


def correlation_id() -> str:
    """The correlation id that the middleware bound to the request."""
    return structlog.contextvars.get_contextvars().get("correlation_id") or uuid4().hex


async def use_cases(request: Request, work: UnitOfWorkDep) -> UseCases:
    """The use cases of the request's caller, in its transaction."""
    return UseCases(request.state.services, request.state.caller, work, correlation_id=correlation_id())


UseCasesDep = Annotated[UseCases, Depends(use_cases)]


async def application(request: Request, use_cases: UseCasesDep, app_id: ApplicationRef) -> Application:
    """The application that the path names, if the caller has access to it. NotFound."""
    found = await use_cases.application(app_id)
    request.state.app_id = found.id
    name(app_id=found.id)
    return found


ApplicationDep = Annotated[Application, Depends(application)]


async def applications(use_cases: UseCasesDep, _: OrganisationDep) -> Applications:
    """Use cases for the organisation's applications; application tokens are refused."""
    return use_cases.applications()


async def organisation_tokens(use_cases: UseCasesDep, _: OrganisationDep) -> OrganisationTokens:
    """Use cases for the organisation's tokens; application tokens are refused."""
    return use_cases.organisation_tokens()


async def operational_endpoints(use_cases: UseCasesDep, _: OrganisationDep) -> Endpoints:
    """Use cases for the organisation's operational endpoints, which receive operational webhooks."""
    return await use_cases.operational_endpoints()


async def event_types(use_cases: UseCasesDep) -> EventTypes:
    """Use cases for the organisation's event types."""
    return use_cases.event_types()


async def background_tasks(use_cases: UseCasesDep) -> BackgroundTasks:
    """Use cases for the caller's background tasks: the organisation's, or those of its one application."""
    return use_cases.background_tasks()


async def statistics(use_cases: UseCasesDep) -> Statistics:
    """Use cases for the organisation's statistics."""
    return use_cases.statistics()


async def brands(use_cases: UseCasesDep) -> Brands:
    """Use cases for the brand that the organisation's customers see."""
    return use_cases.brands()


async def sources(use_cases: UseCasesDep, _: OrganisationDep) -> Sources:
    """Use cases for the organisation's sources; application tokens are refused."""
    return use_cases.sources()


async def revocations(use_cases: UseCasesDep) -> Revocations:
    """Use cases that revoke tokens of the organisation's applications."""
    return use_cases.revocations()


async def audit_trail(use_cases: UseCasesDep) -> AuditTrail:
    """The organisation's audit trail; events that are added carry the caller as actor."""
    return use_cases.audit_trail()


async def endpoints(use_cases: UseCasesDep, application: ApplicationDep) -> Endpoints:
    """Use cases for the application's endpoints."""
    return use_cases.endpoints(application)


async def destinations(use_cases: UseCasesDep, application: ApplicationDep) -> Destinations:
    """Use cases for the application's ordered destinations."""
    return use_cases.destinations(application)


async def pollers(use_cases: UseCasesDep, application: ApplicationDep) -> Pollers:
    """Use cases that poll the application's ordered destinations."""
    return use_cases.pollers(application)


async def messages(use_cases: UseCasesDep, application: ApplicationDep) -> Messages:
    """Use cases that read the application's messages."""
    return use_cases.messages(application)


async def deliveries(use_cases: UseCasesDep, application: ApplicationDep) -> Deliveries:
    """Use cases for the application's deliveries."""
    return use_cases.deliveries(application)


async def replays(use_cases: UseCasesDep, application: ApplicationDep) -> Replays:
    """Use cases that replay messages to the application's endpoints."""
    return use_cases.replays(application)


async def contents(use_cases: UseCasesDep, application: ApplicationDep) -> Contents:
    """Use cases that expunge payloads and responses of the application's messages."""
    return use_cases.contents(application)


async def examples(use_cases: UseCasesDep, application: ApplicationDep) -> Examples:
    """Use cases that send example messages to the application's endpoints."""
    return use_cases.examples(application)


async def revoked(services: ProcessServicesDep) -> AsyncIterator[None]:
    """Reload the revocations of this process after the commit. As one of the route's `dependencies` it is entered
    before the unit of work, so it exits after it."""
    yield
    try:
        await services.access.refresh()
    except Unavailable:
        structlog.stdlib.get_logger(__name__).warning("revocations.not_read", hint="they are read again in a second")


async def attempts(client: HttpClientDep, services: ProcessServicesDep) -> AttemptMaker:
    """Makes an attempt within the request, while its caller waits."""
    return services.attempts(client)


ApplicationsDep = Annotated[Applications, Depends(applications)]
AttemptsDep = Annotated[AttemptMaker, Depends(attempts)]
AuditTrailDep = Annotated[AuditTrail, Depends(audit_trail)]
BackgroundTasksDep = Annotated[BackgroundTasks, Depends(background_tasks)]
BrandsDep = Annotated[Brands, Depends(brands)]
ContentsDep = Annotated[Contents, Depends(contents)]
DeliveriesDep = Annotated[Deliveries, Depends(deliveries)]
DestinationsDep = Annotated[Destinations, Depends(destinations)]
EndpointsDep = Annotated[Endpoints, Depends(endpoints)]
EventTypesDep = Annotated[EventTypes, Depends(event_types)]
ExamplesDep = Annotated[Examples, Depends(examples)]
MessagesDep = Annotated[Messages, Depends(messages)]
OperationalEndpointsDep = Annotated[Endpoints, Depends(operational_endpoints)]
OrganisationTokensDep = Annotated[OrganisationTokens, Depends(organisation_tokens)]
PollersDep = Annotated[Pollers, Depends(pollers)]
ReplaysDep = Annotated[Replays, Depends(replays)]
RevocationsDep = Annotated[Revocations, Depends(revocations)]
SourcesDep = Annotated[Sources, Depends(sources)]
StatisticsDep = Annotated[Statistics, Depends(statistics)]
