"""Background tasks in PostgreSQL: progress is stored in the batch's own transaction, and tasks are claimed by lease."""

import json
import os
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import Row, Select, cast, func, null, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.adapters.postgres.server.wakeups import POLL_INTERVAL_S, Bell
from service.application.ports.pages import Page, PageRequest, TaskFilter
from service.domain.background_tasks import MAX_TASK_BACKOFF, BackgroundTask, TaskClaim, TaskKind, TaskStatus
from service.domain.ids import ApplicationId, OrgId, TaskId

LEASE = timedelta(seconds=30)
MIN_SLEEP_S = 0.01

_table = tables.background_task

_statements = beside(__name__)
CLAIM, NEXT_DUE = _statements["claim"], _statements["next_due"]
POSTPONE, GIVE_UP = _statements["postpone"], _statements["give_up"]


class PostgresBackgroundTasks:
    """Fulfils `ports.BackgroundTaskRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, task: BackgroundTask, *, due_at: datetime) -> None:
        """Store a new task; its first batch is due at `due_at`."""
        await self._transaction.execute(insert(_table).values(**_columns(task), failures=0, due_at=due_at))
        self._transaction.task_due((due_at - task.created_at).total_seconds())

    async def get(self, org_id: OrgId, task_id: TaskId, *, app_id: ApplicationId | None) -> BackgroundTask | None:
        """The organisation's task, or the application's."""
        statement = _owned(org_id, app_id).where(_table.c.id == task_id)
        row = (await self._transaction.execute(statement)).first()
        return _task(row) if row else None

    async def page(
        self, org_id: OrgId, page: PageRequest, wanted: TaskFilter, *, app_id: ApplicationId | None
    ) -> Page[BackgroundTask]:
        """The organisation's tasks, or the application's, by id, which is by time."""
        statement = _owned(org_id, app_id)
        if wanted.status is not None:
            statement = statement.where(_table.c.status == wanted.status)
        if wanted.kind is not None:
            statement = statement.where(_table.c.kind == wanted.kind)
        result = await self._transaction.execute(keyset(statement, _table.c.id, page))
        return page_of(result.all(), page, _task)

    async def keep(self, task: BackgroundTask, *, lease: str | None, due_at: datetime) -> bool:
        """Store the progress and release the lease; False, without a change, if the lease is another's now."""
        progress = {"status": task.status, "cursor": task.cursor, "data": task.data, "updated_at": task.updated_at}
        result = await self._transaction.execute(
            update(_table)
            .where(
                _table.c.org_id == task.org_id,
                _table.c.id == task.id,
                _table.c.status == TaskStatus.RUNNING,
                _table.c.lease.is_not_distinct_from(lease),
            )
            .values(**progress, lease=null(), due_at=due_at, failures=0)
            .returning(_table.c.id)
        )
        kept = result.first() is not None
        if kept and task.status is TaskStatus.RUNNING:
            self._transaction.task_due((due_at - task.updated_at).total_seconds())
        return kept

    async def cancel(self, task: BackgroundTask) -> bool:
        """Store how the task ended, whoever has its lease; False, without a change, if it runs no more."""
        running = _table.c.status == TaskStatus.RUNNING
        error = func.jsonb_build_object("error", cast(task.data["error"], JSONB))
        result = await self._transaction.execute(
            update(_table)
            .where(_table.c.org_id == task.org_id, _table.c.id == task.id, running)
            # What a batch stored meanwhile stays.
            .values(status=task.status, data=_table.c.data.op("||")(error), updated_at=task.updated_at, lease=null())
            .returning(_table.c.id)
        )
        return result.first() is not None


class PostgresTaskQueue:
    """Fulfils `ports.TaskQueue`. Polls every `poll` seconds, in case a wake-up was lost."""

    def __init__(
        self, pool: asyncpg.Pool, bell: Bell, *, lease: timedelta = LEASE, poll: float = POLL_INTERVAL_S
    ) -> None:
        self._pool = pool
        self._bell = bell
        self._lease = lease
        self._poll = poll
        self._next_due: float | None = 0.0

    async def claim(self, kinds: Collection[TaskKind]) -> TaskClaim | None:
        """Claim the due task of these kinds that has waited longest; None when none is due."""
        lease = os.urandom(8).hex()
        self._bell.forget()
        with unavailable_when_lost():
            row = await self._pool.fetchrow(*CLAIM(lease=lease, lease_lasts=self._lease, kinds=list(kinds)))
            if row is None:
                asked = NEXT_DUE(kinds=list(kinds), poll=timedelta(seconds=self._poll))
                self._next_due = await self._pool.fetchval(*asked)
        return TaskClaim(task=_claimed(row), lease=lease, failures=row["failures"]) if row else None

    async def postpone(self, claim: TaskClaim) -> None:
        """Release the lease after a failed batch; due again after an exponential back-off of up to 5 minutes."""
        with unavailable_when_lost():
            seconds = await self._pool.fetchval(
                *POSTPONE(id=claim.task.id, lease=claim.lease, longest_wait=MAX_TASK_BACKOFF.total_seconds())
            )
        if seconds is not None:
            self._bell.announce(seconds)

    async def give_up(self, claim: TaskClaim, failed: BackgroundTask) -> None:
        """Store that the task has failed for good, if its lease is still ours."""
        what = {"status": str(failed.status), "data": json.dumps(failed.data), "at": failed.updated_at}
        with unavailable_when_lost():
            await self._pool.execute(*GIVE_UP(id=claim.task.id, lease=claim.lease, **what))

    async def wait(self) -> None:
        """Return when a batch may be due: announced, or known from the last claim."""
        next_due = self._poll if self._next_due is None else max(self._next_due, MIN_SLEEP_S)
        await self._bell.wait(min(next_due, self._poll))


def _owned(org_id: OrgId, app_id: ApplicationId | None) -> Select[Any]:
    statement = select(_table).where(_table.c.org_id == org_id)
    return statement if app_id is None else statement.where(_table.c.app_id == app_id)


def _columns(task: BackgroundTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "org_id": task.org_id,
        "app_id": task.app_id,
        "kind": task.kind,
        "status": task.status,
        "params": task.params,
        "cursor": task.cursor,
        "data": task.data,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
    }


def _task(row: Row[Any]) -> BackgroundTask:
    return BackgroundTask(
        id=row.id,
        org_id=row.org_id,
        app_id=row.app_id,
        kind=TaskKind(row.kind),
        params=row.params,
        status=TaskStatus(row.status),
        cursor=row.cursor,
        data=row.data,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _claimed(row: asyncpg.Record) -> BackgroundTask:
    return BackgroundTask(
        id=TaskId(row["id"]),
        org_id=OrgId(row["org_id"]),
        app_id=ApplicationId(row["app_id"]) if row["app_id"] else None,
        kind=TaskKind(row["kind"]),
        params=json.loads(row["params"]),
        status=TaskStatus(row["status"]),
        cursor=row["cursor"],
        data=json.loads(row["data"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
