"""The life of a request, from top to bottom: session, unit of work, caller, application, use cases.

Every dependency that holds something ends with `scope="function"`: its exit runs before the answer is sent. That is
what makes a 2xx true, since the transaction is committed by then, and a commit that fails becomes a 5xx.
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
from service.application.contents import Contents
from service.application.deliveries import Deliveries
from service.application.endpoints import Endpoints
from service.application.event_types import EventTypes
from service.application.examples import Examples
from service.application.messages import Messages
from service.application.operational_webhooks import Announcer, operational_application
from service.application.ports.destinations import AttemptMaker
from service.application.ports.unit_of_work import UnitOfWork
from service.application.replays import Replays
from service.application.revocations import Revocations
from service.application.statistics import Statistics
from service.application.tokens import OrganisationTokens
from service.domain.applications import Application
from service.domain.errors import NotFound, NoToken, RelevoError, Unavailable
from service.observability.naming import name


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


async def http_client(services: ServicesDep) -> AsyncIterator[AsyncClient]:
    """The process-wide client: it outlives the request, so that connections are used again."""
    yield services.http_client


HttpClientDep = Annotated[AsyncClient, Depends(http_client, scope="function")]

_WITHOUT_BEARER = "The header `Authorization` must be `Bearer <token>`."
bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="What `relevo token` prints.")


async def caller(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Caller:
    """Whom the bearer token speaks for; whoever may not do what the route is for is refused here. Asked once."""
    asked: Caller | None = getattr(request.state, "caller", None)
    if asked is not None:
        return asked
    if credentials is None:
        raise NoToken(_WITHOUT_BEARER if "authorization" in request.headers else None)
    found = await services.access.verify(credentials.credentials)
    name(org_id=found.org_id)
    operation = getattr(request.scope["route"], "operation_id", None)
    permissions.check(found, operation=operation)
    request.state.caller = found
    return found


CallerDep = Annotated[Caller, Depends(caller)]


async def organisation(caller: CallerDep) -> Caller:
    """The caller, who must be a whole organisation."""
    caller.require_organisation()
    return caller


OrganisationDep = Annotated[Caller, Depends(organisation)]


async def application(
    request: Request,
    work: UnitOfWorkDep,
    caller: CallerDep,
    app_id: ApplicationRef,
) -> Application:
    """The application of the path: the caller's own, or else there is none."""
    found = await work.applications.get(caller.org_id, app_id)
    if found is None or caller.app_id not in {None, found.id}:
        raise NotFound("Application not found")
    request.state.app_id = found.id
    name(app_id=found.id)
    return found


ApplicationDep = Annotated[Application, Depends(application)]


async def revocations(work: UnitOfWorkDep, caller: CallerDep, services: ServicesDep) -> Revocations:
    """The ending of tokens of the organisation's applications."""
    return Revocations(caller.org_id, work.revocations, clock=services.clock, new_id=services.new_id)


async def organisation_tokens(
    work: UnitOfWorkDep,
    caller: OrganisationDep,
    revocations: Annotated[Revocations, Depends(revocations)],
    services: ServicesDep,
) -> OrganisationTokens:
    """The use cases of the organisation's listed tokens."""
    return OrganisationTokens(
        caller.org_id,
        work.tokens,
        issuer=services.tokens,
        revocations=revocations,
        clock=services.clock,
        new_id=services.new_id,
    )


async def revoked(services: ServicesDep) -> AsyncIterator[None]:
    """Let this process know at once what was revoked. Named among a route's own `dependencies`, it is entered
    before the unit of work and so ends after the commit, when there is something to see."""
    yield
    try:
        await services.access.refresh()
    except Unavailable:
        structlog.stdlib.get_logger(__name__).warning("revocations.not_read", hint="they are read again in a second")


async def audit_trail(work: UnitOfWorkDep, caller: CallerDep, services: ServicesDep) -> AuditTrail:
    """The organisation's audit trail, and the caller's name on what is added to it."""
    return AuditTrail(caller, work.audit, new_id=services.new_id, correlation_id=correlation_id())


def correlation_id() -> str:
    """The request's own, which the middleware has bound."""
    return structlog.contextvars.get_contextvars().get("correlation_id") or uuid4().hex


RevocationsDep = Annotated[Revocations, Depends(revocations)]
OrganisationTokensDep = Annotated[OrganisationTokens, Depends(organisation_tokens)]
AuditTrailDep = Annotated[AuditTrail, Depends(audit_trail)]


async def applications(work: UnitOfWorkDep, caller: OrganisationDep, services: ServicesDep) -> Applications:
    """The use cases of the organisation's applications."""
    return Applications(caller.org_id, work.applications, clock=services.clock, new_id=services.new_id)


async def event_types(work: UnitOfWorkDep, caller: CallerDep, services: ServicesDep) -> EventTypes:
    """The use cases of the organisation's event types."""
    return EventTypes(caller.org_id, work.event_types, clock=services.clock, flags=caller.feature_flags)


async def endpoints(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> Endpoints:
    """The use cases of the application's endpoints."""
    return _endpoints(application, work, services)


async def operational_endpoints(work: UnitOfWorkDep, caller: OrganisationDep, services: ServicesDep) -> Endpoints:
    """The use cases of the organisation's own endpoints, which are told of what happens."""
    application = await operational_application(
        caller.org_id, work.applications, clock=services.clock, new_id=services.new_id
    )
    return _endpoints(application, work, services)


def _endpoints(application: Application, work: UnitOfWork, services: Services) -> Endpoints:
    announcer = Announcer(work.outbox, clock=services.clock, new_id=services.new_id, correlation_id=correlation_id())
    return Endpoints(
        application,
        work.endpoints,
        work.event_types,
        clock=services.clock,
        new_id=services.new_id,
        new_key=services.new_key,
        key_pairs=services.key_pairs,
        https_only=services.https_only,
        refuses_url=services.refuses_url,
        announce=announcer.endpoint,
    )


async def messages(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> Messages:
    """The reading of the application's messages."""
    return Messages(application, work.messages, clock=services.clock)


async def deliveries(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> Deliveries:
    """The use cases of the application's deliveries."""
    return Deliveries(application, work.deliveries, work.messages, clock=services.clock, new_id=services.new_id)


async def background_tasks(work: UnitOfWorkDep, caller: CallerDep, services: ServicesDep) -> BackgroundTasks:
    """The caller's background tasks: the organisation's, or those of the one application."""
    return BackgroundTasks(
        caller.org_id, work.background_tasks, app_id=caller.app_id, clock=services.clock, new_id=services.new_id
    )


async def application_tasks(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> BackgroundTasks:
    """The background tasks of the application of the path."""
    return BackgroundTasks(
        application.org_id,
        work.background_tasks,
        app_id=application.id,
        clock=services.clock,
        new_id=services.new_id,
    )


BackgroundTasksDep = Annotated[BackgroundTasks, Depends(background_tasks)]
ApplicationTasksDep = Annotated[BackgroundTasks, Depends(application_tasks)]


async def replays(application: ApplicationDep, work: UnitOfWorkDep, tasks: ApplicationTasksDep) -> Replays:
    """The replays of the application's endpoints."""
    return Replays(application, work.endpoints, tasks)


async def contents(
    application: ApplicationDep, work: UnitOfWorkDep, tasks: ApplicationTasksDep, services: ServicesDep
) -> Contents:
    """The removal of what the application's messages say."""
    return Contents(application, work.contents, tasks, clock=services.clock)


async def statistics(
    work: UnitOfWorkDep, caller: CallerDep, tasks: BackgroundTasksDep, services: ServicesDep
) -> Statistics:
    """The statistics of the caller's organisation."""
    return Statistics(caller.org_id, work.statistics, tasks, clock=services.clock)


async def examples(application: ApplicationDep, work: UnitOfWorkDep, services: ServicesDep) -> Examples:
    """The examples of the application's endpoints."""
    return Examples(
        application,
        endpoints=work.endpoints,
        event_types=work.event_types,
        examples=work.examples,
        clock=services.clock,
        new_id=services.new_id,
    )


async def attempts(client: HttpClientDep, services: ServicesDep) -> AttemptMaker:
    """What calls a receiver while the caller of the API waits."""
    return services.attempts(client)


ReplaysDep = Annotated[Replays, Depends(replays)]
ContentsDep = Annotated[Contents, Depends(contents)]
StatisticsDep = Annotated[Statistics, Depends(statistics)]
ExamplesDep = Annotated[Examples, Depends(examples)]
AttemptsDep = Annotated[AttemptMaker, Depends(attempts)]
ApplicationsDep = Annotated[Applications, Depends(applications)]
EventTypesDep = Annotated[EventTypes, Depends(event_types)]
EndpointsDep = Annotated[Endpoints, Depends(endpoints)]
OperationalEndpointsDep = Annotated[Endpoints, Depends(operational_endpoints)]
MessagesDep = Annotated[Messages, Depends(messages)]
DeliveriesDep = Annotated[Deliveries, Depends(deliveries)]
