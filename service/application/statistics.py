"""Use cases of statistics: of one endpoint at once, of a whole organisation as a background task."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.application.background_tasks import BackgroundTasks, Steps
from service.application.ports.machine import Clock
from service.application.ports.pages import PageRequest
from service.application.ports.repositories import StatisticsRepository
from service.application.ports.unit_of_work import UnitOfWork
from service.domain import statistics
from service.domain.background_tasks import BackgroundTask, Progress, TaskKind
from service.domain.endpoints import Endpoint
from service.domain.errors import Invalid
from service.domain.health import EndpointCondition, EndpointStandings, FailingEndpoint
from service.domain.ids import ApplicationId, OrgId
from service.domain.replays import Window
from service.domain.statistics import AttemptCounts, HourCounts, Owner, Subscriptions, Usage

BATCH_APPLICATIONS = 200

_USAGE = "appStats"
_SUBSCRIPTIONS = "event_types"


class Statistics:
    """The statistics of one organisation."""

    def __init__(
        self, org_id: OrgId, statistics: StatisticsRepository, tasks: BackgroundTasks, *, clock: Clock
    ) -> None:
        self._org_id = org_id
        self._statistics = statistics
        self._tasks = tasks
        self._clock = clock

    async def attempts(self, endpoint: Endpoint, *, since: datetime | None, until: datetime | None) -> AttemptCounts:
        """Count an endpoint's attempts in every hour that the window touches. Raises InvalidRange."""
        window = statistics.window(since, until, now=self._clock.now())
        return await self._statistics.attempts(endpoint, window)

    async def hourly(self, owner: Owner | None = None, *, lasting: timedelta) -> list[HourCounts]:
        """The counts of every hour of the time that ends now, also of those in which nothing happened: of an
        application or endpoint, or of the organisation."""
        owner = owner or self._org_id
        return (await self.hourly_of([owner], lasting=lasting))[owner]

    async def hourly_of(self, owners: Sequence[Owner], *, lasting: timedelta) -> dict[Owner, list[HourCounts]]:
        """The same, of each of these."""
        now = self._clock.now()
        window = statistics.window(now - lasting, now, now=now)
        found = await self._statistics.hours(self._org_id, window, owners)
        return {owner: statistics.every_hour(found.get(owner, ()), until=now, lasting=lasting) for owner in owners}

    async def standings(self, app_ids: Sequence[ApplicationId]) -> dict[ApplicationId, EndpointStandings]:
        """How the endpoints of each of these applications stand."""
        found = await self._statistics.standings(self._org_id, app_ids)
        none = EndpointStandings(endpoints=0, disabled=0, failing=0)
        return {app_id: found.get(app_id, none) for app_id in app_ids}

    async def usage(
        self, refs: Sequence[str] | None, *, since: datetime, until: datetime
    ) -> tuple[BackgroundTask, list[str]]:
        """Start counting the attempts of these applications, or of all; returns also the unknown ones. Raises
        Invalid."""
        if since > until:
            raise Invalid("`since` must be before `until`.", field=("since",))
        known = None if refs is None else await self._statistics.applications(self._org_id, refs)
        if known is not None and not known:
            raise Invalid("None of these applications exists.", field=("app_ids",))
        params = {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "apps": None if known is None else sorted(known.values()),
        }
        task = await self._tasks.start(TaskKind.APPLICATION_STATS, params=params, data={_USAGE: []})
        return task, [ref for ref in refs or () if ref not in (known or {})]

    async def failing(self, *, most: int) -> tuple[list[FailingEndpoint], bool]:
        """The failing endpoints, longest failing first, and whether these are all."""
        found = await self._statistics.failing(self._org_id, size=most + 1)
        return list(found[:most]), len(found) <= most

    async def oldest_due(self) -> timedelta | None:
        """How long the organisation's oldest due delivery has waited; None when none waits, or when a thousand of
        others are older."""
        since = await self._statistics.oldest_due(self._org_id)
        return None if since is None else self._clock.now() - since

    async def condition(self, endpoint: Endpoint) -> EndpointCondition:
        """How the endpoint stands now: whether it fails, whether it rests."""
        return await self._statistics.condition(endpoint)

    async def subscriptions(self) -> BackgroundTask:
        """Start collecting the event types that the endpoints of every application want."""
        return await self._tasks.start(TaskKind.EVENT_TYPE_AGGREGATE, params={}, data={_SUBSCRIPTIONS: []})


def steps(*, size: int = BATCH_APPLICATIONS) -> Steps:
    """The batch functions of these kinds of tasks, for `size` applications each."""

    async def usage(task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress:
        del now
        window = Window(
            since=datetime.fromisoformat(task.params["since"]), until=datetime.fromisoformat(task.params["until"])
        )
        found = await work.statistics.usage(task.org_id, _next(task, size), window, among=task.params["apps"])
        shown = [_usage(item) for item in found.items]
        return _progress(task, _USAGE, shown, done=found.done)

    async def subscriptions(task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress:
        del now
        found = await work.statistics.subscriptions(task.org_id, _next(task, size))
        return _progress(task, _SUBSCRIPTIONS, [_subscriptions(item) for item in found.items], done=found.done)

    return {TaskKind.APPLICATION_STATS: usage, TaskKind.EVENT_TYPE_AGGREGATE: subscriptions}


def _next(task: BackgroundTask, size: int) -> PageRequest:
    return PageRequest(limit=size, after=task.cursor or None, ascending=True)


def _progress(task: BackgroundTask, name: str, shown: list[dict[str, object]], *, done: bool) -> Progress:
    cursor = str(shown[-1]["appId"]) if shown else task.cursor
    return Progress(cursor=cursor, data={name: task.data[name] + shown}, done=done)


def _usage(item: Usage) -> dict[str, object]:
    return {"appId": item.app_id, "appUid": item.app_uid, "messageDestinations": item.attempts}


def _subscriptions(item: Subscriptions) -> dict[str, object]:
    return {
        "appId": item.app_id,
        "explicitlySubscribedEventTypes": list(item.event_types),
        "hasCatchAllEndpoint": item.catches_all,
    }
