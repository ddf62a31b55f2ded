"""Makes the use cases, in one place for every way in: from the caller, a unit of work and the open resources."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from secrets import token_bytes

from service.application.access import Caller, TokenIssuer, TokenVerifier
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
from service.application.imports import Imports
from service.application.intake import Begin, Submissions
from service.application.messages import Messages
from service.application.operational_webhooks import Announcer, operational_application
from service.application.payload_checks import PayloadChecks
from service.application.pollers import Pollers
from service.application.ports.attempt_news import AttemptNews
from service.application.ports.intake import Intake
from service.application.ports.machine import Clock, KeyPairs, NewId
from service.application.ports.unit_of_work import UnitOfWork
from service.application.replays import Replays
from service.application.revocations import Revocations
from service.application.searches import Searches
from service.application.sources import Sources
from service.application.statistics import Statistics
from service.application.tokens import OrganisationTokens
from service.domain.applications import Application
from service.domain.errors import NotFound
from service.domain.signatures import GENERATED_BYTES
from service.domain.sinks import SinkKind
from service.domain.sources import SourceKind
from service.offloading.processes import Processes
from service.offloading.threads import Threads


def _new_key() -> bytes:
    return token_bytes(GENERATED_BYTES)


def _lacks_nothing(_kind: SinkKind) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What use cases need besides a caller and a unit of work; open for as long as the process takes requests.

    `begin` opens a short unit of work, committed at the end of the block or rolled back. `new_id` takes a prefix.
    """

    begin: Begin
    intake: Intake
    payload_checks: PayloadChecks
    access: TokenVerifier
    tokens: TokenIssuer
    clock: Clock
    new_id: NewId
    key_pairs: KeyPairs
    processes: Processes
    threads: Threads
    attempt_news: AttemptNews
    refuses_url: Callable[[str], str | None]
    lacks_client: Callable[[SinkKind], str | None] = _lacks_nothing
    new_key: Callable[[], bytes] = _new_key
    source_kinds: Collection[SourceKind] = tuple(SourceKind)
    https_only: bool = False
    trace_url: str | None = None
    logs_url: str | None = None


def submissions(open_: Resources) -> Submissions:
    """The way in for messages."""
    return Submissions(open_.intake, open_.payload_checks, begin=open_.begin, clock=open_.clock, new_id=open_.new_id)


def imports(open_: Resources, application: Application) -> Imports:
    """The application's imports. They open units of work themselves, so that none is open while a file arrives."""
    return Imports(application, submissions(open_), begin=open_.begin, clock=open_.clock, new_id=open_.new_id)


class UseCases:
    """The use cases of one caller in one unit of work. `correlation_id` is that of the request."""

    def __init__(self, open_: Resources, caller: Caller, work: UnitOfWork, *, correlation_id: str) -> None:
        self._open = open_
        self._caller = caller
        self._work = work
        self._correlation_id = correlation_id

    async def application(self, ref: str) -> Application:
        """The caller's application with this id or uid. Raises NotFound."""
        found = await self._work.applications.get(self._caller.org_id, ref)
        if found is None or self._caller.app_id not in {None, found.id}:
            raise NotFound("Application not found")
        return found

    def applications(self) -> Applications:
        """The organisation's applications."""
        return Applications(
            self._caller.org_id, self._work.applications, clock=self._open.clock, new_id=self._open.new_id
        )

    def event_types(self) -> EventTypes:
        """The organisation's event types that the caller's feature flags allow."""
        return EventTypes(
            self._caller.org_id, self._work.event_types, clock=self._open.clock, flags=self._caller.feature_flags
        )

    def endpoints(self, application: Application) -> Endpoints:
        """The application's endpoints."""
        announcer = Announcer(
            self._work.outbox,
            clock=self._open.clock,
            new_id=self._open.new_id,
            correlation_id=self._correlation_id,
        )
        return Endpoints(
            application,
            self._work.endpoints,
            self._work.event_types,
            clock=self._open.clock,
            new_id=self._open.new_id,
            new_key=self._open.new_key,
            key_pairs=self._open.key_pairs,
            https_only=self._open.https_only,
            refuses_url=self._open.refuses_url,
            announce=announcer.endpoint,
        )

    def destinations(self, application: Application) -> Destinations:
        """The application's ordered destinations. An application's own token cannot pause them."""
        return Destinations(
            application,
            self._work.destinations,
            self._work.event_types,
            clock=self._open.clock,
            new_id=self._open.new_id,
            new_key=self._open.new_key,
            key_pairs=self._open.key_pairs,
            https_only=self._open.https_only,
            refuses_url=self._open.refuses_url,
            lacks_client=self._open.lacks_client,
            may_pause=self._caller.app_id is None,
        )

    def pollers(self, application: Application) -> Pollers:
        """The application's polled destinations."""
        return Pollers(application, self._work.destinations)

    async def operational_endpoints(self) -> Endpoints:
        """The organisation's operational endpoints."""
        application = await operational_application(
            self._caller.org_id, self._work.applications, clock=self._open.clock, new_id=self._open.new_id
        )
        return self.endpoints(application)

    def messages(self, application: Application) -> Messages:
        """The application's messages."""
        return Messages(application, self._work.messages, clock=self._open.clock)

    def deliveries(self, application: Application) -> Deliveries:
        """The application's deliveries and attempts."""
        return Deliveries(
            application, self._work.deliveries, self._work.messages, clock=self._open.clock, new_id=self._open.new_id
        )

    def background_tasks(self, application: Application | None = None) -> BackgroundTasks:
        """The application's background tasks, or else the caller's."""
        return BackgroundTasks(
            self._caller.org_id,
            self._work.background_tasks,
            app_id=self._caller.app_id if application is None else application.id,
            clock=self._open.clock,
            new_id=self._open.new_id,
        )

    def replays(self, application: Application) -> Replays:
        """The replays of the application's endpoints."""
        return Replays(
            application,
            self._work.endpoints,
            self.background_tasks(application),
            self._work.replays,
            clock=self._open.clock,
        )

    def contents(self, application: Application) -> Contents:
        """The contents of the application's messages."""
        return Contents(application, self._work.contents, self.background_tasks(application), clock=self._open.clock)

    def statistics(self) -> Statistics:
        """The statistics of the caller's organisation."""
        return Statistics(self._caller.org_id, self._work.statistics, self.background_tasks(), clock=self._open.clock)

    def examples(self, application: Application) -> Examples:
        """The examples of the application's endpoints."""
        return Examples(
            application,
            endpoints=self._work.endpoints,
            event_types=self._work.event_types,
            examples=self._work.examples,
            clock=self._open.clock,
            new_id=self._open.new_id,
        )

    def revocations(self) -> Revocations:
        """Revocations of tokens of the organisation and its applications."""
        return Revocations(
            self._caller.org_id, self._work.revocations, clock=self._open.clock, new_id=self._open.new_id
        )

    def brands(self) -> Brands:
        """The brand that the organisation's customers see."""
        return Brands(self._caller.org_id, self._work.brands, clock=self._open.clock)

    def sources(self) -> Sources:
        """The organisation's sources."""
        return Sources(
            self._caller.org_id,
            self._work.sources,
            clock=self._open.clock,
            new_id=self._open.new_id,
            kinds=self._open.source_kinds,
            refuses_url=self._open.refuses_url,
        )

    def organisation_tokens(self) -> OrganisationTokens:
        """The organisation's listed tokens."""
        return OrganisationTokens(
            self._caller.org_id,
            self._work.tokens,
            issuer=self._open.tokens,
            revocations=self.revocations(),
            clock=self._open.clock,
            new_id=self._open.new_id,
        )

    def searches(self) -> Searches:
        """Search in everything that is the caller's."""
        return Searches(
            caller=self._caller,
            searches=self._work.searches,
            applications=self._work.applications,
            tasks=self.background_tasks(),
        )

    def audit_trail(self) -> AuditTrail:
        """The organisation's audit trail, to which the caller's actions are added."""
        return AuditTrail(self._caller, self._work.audit, new_id=self._open.new_id, correlation_id=self._correlation_id)
