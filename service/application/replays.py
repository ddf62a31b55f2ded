"""Use cases of replays: sending messages to an endpoint again, as a background task, and counting them before."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from service.application.background_tasks import BackgroundTasks, Steps
from service.application.ports.background_tasks import ReplayRepository
from service.application.ports.machine import Clock
from service.application.ports.repositories import EndpointRepository
from service.application.ports.unit_of_work import UnitOfWork
from service.domain import ids
from service.domain.applications import Application
from service.domain.background_tasks import BackgroundTask, Progress, TaskKind
from service.domain.deliveries import Status
from service.domain.endpoints import Endpoint
from service.domain.errors import Invalid, NotFound
from service.domain.ids import ApplicationId, MessageId
from service.domain.limits import CLOCK_TOLERANCE
from service.domain.replays import MAX_RECOVERY, UNDELIVERED, Covered, ReplayFilter, ReplayPreview, Stretch
from service.domain.subscriptions import refuse_disabled

BATCH_MESSAGES = 1000
PREVIEWED_MESSAGES = 5000  # that a preview examines, while somebody waits for it

_SENT = "messagesSent"


class Replays:
    """The replays of one application's endpoints. Each selected message gets one manual attempt."""

    def __init__(
        self,
        application: Application,
        endpoints: EndpointRepository,
        tasks: BackgroundTasks,
        replays: ReplayRepository,
        *,
        clock: Clock,
    ) -> None:
        self._application = application
        self._endpoints = endpoints
        self._tasks = tasks
        self._replays = replays
        self._clock = clock

    async def recover(self, ref: str, *, since: datetime, until: datetime) -> BackgroundTask:
        """Send again the messages whose delivery to the endpoint has not succeeded; overlapping recoveries send each
        once. Raises EndpointDisabled, Invalid."""
        _refuse_long_recovery(since, until)
        return await self._start(TaskKind.RECOVER, ref, UNDELIVERED, since=since, until=until)

    async def replay_missing(self, ref: str, *, since: datetime, until: datetime) -> BackgroundTask:
        """Send the messages that the endpoint wants and was never sent. Raises EndpointDisabled, Invalid."""
        return await self._start(TaskKind.REPLAY, ref, ReplayFilter(), since=since, until=until)

    async def bulk_replay(self, ref: str, wanted: ReplayFilter, *, since: datetime, until: datetime) -> BackgroundTask:
        """Send again the messages that the endpoint was sent, delivered or not. Raises EndpointDisabled, Invalid."""
        return await self._start(TaskKind.BULK_REPLAY, ref, wanted, since=since, until=until)

    async def preview_recovery(self, ref: str, *, since: datetime, until: datetime) -> ReplayPreview:
        """Count what `recover` would send. Raises EndpointDisabled, Invalid."""
        _refuse_long_recovery(since, until)
        untried = replace(UNDELIVERED, untried_since=ids.lowest(ids.ATTEMPT, self._clock.now()))
        return await self.preview_bulk(ref, untried, since=since, until=until)

    async def preview_missing(self, ref: str, *, since: datetime, until: datetime) -> ReplayPreview:
        """Count what `replay_missing` would send. Raises EndpointDisabled, Invalid."""
        endpoint, stretch = await self._asked(ref, since=since, until=until)
        return _preview(stretch, await self._replays.count_missing(endpoint, stretch))

    async def preview_bulk(self, ref: str, wanted: ReplayFilter, *, since: datetime, until: datetime) -> ReplayPreview:
        """Count what `bulk_replay` would send. Raises EndpointDisabled, Invalid."""
        endpoint, stretch = await self._asked(ref, since=since, until=until)
        return _preview(stretch, await self._replays.count_sent(endpoint, stretch, wanted))

    async def _start(
        self, kind: TaskKind, ref: str, wanted: ReplayFilter, *, since: datetime, until: datetime
    ) -> BackgroundTask:
        endpoint, stretch = await self._asked(ref, since=since, until=until)
        params = {
            "endpoint_id": endpoint.id,
            "since": stretch.after,
            "until": stretch.until,
            "wanted": asdict(wanted),
        }
        return await self._tasks.start(kind, params=params, data={_SENT: 0})

    async def _asked(self, ref: str, *, since: datetime, until: datetime) -> tuple[Endpoint, Stretch]:
        if since > until:
            raise Invalid("`since` must be before `until`.", field=("since",))
        endpoint = _usable(await self._endpoints.get(self._application.id, ref))
        first, last = ids.lowest(ids.MESSAGE, since), ids.highest(ids.MESSAGE, until)
        return endpoint, Stretch(after=MessageId(first), until=MessageId(last), size=PREVIEWED_MESSAGES)


def steps(*, size: int = BATCH_MESSAGES) -> Steps:
    """The batch functions of these kinds of tasks, for `size` messages each."""

    async def sent(task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress:
        del now
        endpoint = await _endpoint_of(task, work)
        stretch = stretch_of(task, size=size)
        return _progress(task, await work.replays.sent(endpoint, task.id, stretch, _filter(task)))

    async def missing(task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress:
        del now
        endpoint = await _endpoint_of(task, work)
        return _progress(task, await work.replays.missing(endpoint, task.id, stretch_of(task, size=size)))

    return {TaskKind.RECOVER: sent, TaskKind.BULK_REPLAY: sent, TaskKind.REPLAY: missing}


def stretch_of(task: BackgroundTask, *, size: int) -> Stretch:
    """The next stretch of messages of a task."""
    return Stretch(after=MessageId(task.cursor or task.params["since"]), until=task.params["until"], size=size)


def counted(task: BackgroundTask, covered: Covered, name: str) -> Progress:
    """The task's progress after a stretch, with its count added to the task's data under `name`."""
    done = covered.reached >= task.params["until"]
    return Progress(cursor=covered.reached, data={**task.data, name: task.data[name] + covered.count}, done=done)


def _progress(task: BackgroundTask, covered: Covered) -> Progress:
    return counted(task, covered, _SENT)


def _preview(stretch: Stretch, covered: Covered) -> ReplayPreview:
    return ReplayPreview(count=covered.count, complete=covered.reached >= stretch.until)


def _refuse_long_recovery(since: datetime, until: datetime) -> None:
    if until - since > MAX_RECOVERY + CLOCK_TOLERANCE:
        raise Invalid(f"Recover at most {MAX_RECOVERY.days} days at once.", field=("since",))


async def _endpoint_of(task: BackgroundTask, work: UnitOfWork) -> Endpoint:
    app_id: ApplicationId | None = task.app_id
    if app_id is None:
        raise NotFound
    return _usable(await work.endpoints.get(app_id, task.params["endpoint_id"]))


def _filter(task: BackgroundTask) -> ReplayFilter:
    kept: dict[str, Any] = task.params["wanted"]
    recovers = task.kind == TaskKind.RECOVER
    return ReplayFilter(
        statuses=None if kept["statuses"] is None else tuple(map(Status, kept["statuses"])),
        event_types=None if kept["event_types"] is None else tuple(kept["event_types"]),
        channel=kept["channel"],
        tag=kept["tag"],
        status_code_class=kept["status_code_class"],
        untried_since=ids.lowest(ids.ATTEMPT, task.created_at) if recovers else None,
    )


def _usable(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise NotFound
    refuse_disabled(endpoint)
    return endpoint
