"""Runs background tasks: claim the task that has waited longest, run one batch, commit its effects with the progress.

One batch at a time, so that a large task of one organisation does not delay a small one of another.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import structlog
from structlog.contextvars import bound_contextvars

from service.application.background_tasks import Steps
from service.application.ports.background_tasks import TaskQueue
from service.application.ports.machine import Clock
from service.application.ports.unit_of_work import UnitOfWork
from service.application.turns import first_of, take_turns, until_done
from service.domain.background_tasks import TaskClaim
from service.domain.errors import Busy, RelevoError, Unavailable
from service.observability.tasks import TaskTelemetry

STOP_TIMEOUT = timedelta(seconds=2)

_log = structlog.stdlib.get_logger("relevo.tasks")

OpenWork = Callable[[], AbstractAsyncContextManager[UnitOfWork]]


class LeaseLost(Exception):
    """Another process has claimed the task meanwhile; this batch is rolled back."""


class TaskRunner:
    """Runs batches of background tasks. Any number of runners share the tasks through leases.

    `open_work` opens a unit of work that commits when its block ends and rolls back when it raises.
    """

    def __init__(
        self,
        *,
        queue: TaskQueue,
        open_work: OpenWork,
        steps: Steps,
        clock: Clock,
        telemetry: TaskTelemetry,
    ) -> None:
        self._queue = queue
        self._open_work = open_work
        self._steps = steps
        self._clock = clock
        self._telemetry = telemetry
        self._draining = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run batches while the block lasts. At its end the running batch has 2 s; else it is repeated elsewhere."""
        loop = asyncio.create_task(self._run(), name="background tasks")
        try:
            yield loop
        finally:
            self._draining.set()
            await until_done(loop, within=STOP_TIMEOUT)

    async def _run(self) -> None:
        await take_turns(self._turn, draining=self._draining, log=_log, failure="task.postponed")

    async def _turn(self) -> None:
        claim = await self._queue.claim(self._steps.keys())
        if claim is None:
            await first_of(self._queue.wait(), self._draining.wait())
            return
        with bound_contextvars(**_named(claim)):
            await self._run_batches(claim)

    async def _run_batches(self, claim: TaskClaim) -> None:
        try:
            with self._telemetry.batch(claim.task):
                await self._batch(claim)
        except LeaseLost:
            _log.warning("task.taken_over")
        except Unavailable:
            raise
        except Busy:
            await self._queue.postpone(claim)
        except RelevoError as error:
            _log.warning("task.failed", code=error.code)
            await self._queue.give_up(claim, claim.task.failed(error, at=self._clock.now()))
        except Exception:  # noqa: BLE001 - the batch is repeated later, and other tasks must go on
            _log.exception("task.batch_failed", failures=claim.failures + 1)
            await self._queue.postpone(claim)

    async def _batch(self, claim: TaskClaim) -> None:
        now = self._clock.now()
        async with self._open_work() as work:
            progress = await self._steps[claim.task.kind](claim.task, work, now=now)
            advanced = claim.task.advanced(progress, at=now)
            if not await work.background_tasks.keep(advanced, lease=claim.lease, due_at=now):
                raise LeaseLost
        if progress.done:
            _log.info("task.finished")


def _named(claim: TaskClaim) -> dict[str, str | None]:
    task = claim.task
    return {"task_id": task.id, "kind": task.kind.value, "org_id": task.org_id, "app_id": task.app_id}
