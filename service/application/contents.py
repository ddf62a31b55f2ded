"""Removing the contents of messages and answers: one, several, or all of an application."""

from collections.abc import Sequence
from datetime import datetime

from service.application.background_tasks import BackgroundTasks, Steps
from service.application.ports.background_tasks import ContentRepository
from service.application.ports.machine import Clock
from service.application.ports.unit_of_work import UnitOfWork
from service.application.replays import counted, stretch_of
from service.domain import ids
from service.domain.applications import Application
from service.domain.background_tasks import BackgroundTask, Progress, TaskKind
from service.domain.deliveries import Attempt
from service.domain.errors import NotFound
from service.domain.messages import Message

BATCH_MESSAGES = 1000

_PURGED = "messagesPurged"


class Contents:
    """The contents of one application's messages and attempts."""

    def __init__(
        self, application: Application, contents: ContentRepository, tasks: BackgroundTasks, *, clock: Clock
    ) -> None:
        self._application = application
        self._contents = contents
        self._tasks = tasks
        self._clock = clock

    async def expunge(self, message: Message) -> None:
        """Remove a message's payload; its pending deliveries are canceled."""
        await self._contents.expunge(self._application.id, [message.id])

    async def expunge_attempt(self, attempt: Attempt) -> None:
        """Remove the receiver's answer from an attempt."""
        await self._contents.expunge_attempt(attempt, self._application.id)

    async def expunge_several(self, refs: Sequence[str]) -> dict[str, bool]:
        """Remove the payloads of messages by id or event id; returns for each whether the message exists."""
        named = await self._contents.named(self._application.id, refs)
        await self._contents.expunge(self._application.id, list(named.values()))
        return {ref: ref in named for ref in refs}

    async def expunge_all(self) -> BackgroundTask:
        """Remove the payloads of every message accepted so far, as a background task."""
        epoch = datetime.fromtimestamp(0, self._clock.now().tzinfo)
        params = {
            "since": ids.lowest(ids.MESSAGE, epoch),
            "until": ids.highest(ids.MESSAGE, self._clock.now()),
        }
        return await self._tasks.start(TaskKind.PURGE_CONTENT, params=params, data={_PURGED: 0})


def steps(*, size: int = BATCH_MESSAGES) -> Steps:
    """The batch functions of these kinds of tasks, for `size` messages each."""

    async def expunge(task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress:
        del now
        if task.app_id is None:
            raise NotFound
        covered = await work.contents.expunge_all(task.app_id, stretch_of(task, size=size))
        return counted(task, covered, _PURGED)

    return {TaskKind.PURGE_CONTENT: expunge}
