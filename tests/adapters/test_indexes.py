"""Lists of small things, and what upkeep looks for: each statement names what an index begins with.

Without a single row, and with reading from end to end forbidden, a plan shows which indexes there are to go by.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import asyncpg
import pytest
from sqlalchemy import ClauseElement, Executable
from sqlalchemy.ext.asyncio import create_async_engine

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres import upkeep
from service.adapters.postgres.queue.sample import SAMPLE
from service.adapters.postgres.repositories import background_tasks, endpoint_health, revocations
from service.adapters.postgres.repositories.applications import PostgresApplications
from service.adapters.postgres.repositories.audit import PostgresAudit
from service.adapters.postgres.repositories.background_tasks import PostgresBackgroundTasks
from service.adapters.postgres.repositories.endpoints import PostgresEndpoints
from service.adapters.postgres.repositories.event_types import PostgresEventTypes
from service.adapters.postgres.repositories.imports import PostgresImports
from service.adapters.postgres.repositories.statistics import PostgresStatistics
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import AuditFilter, PageRequest, TaskFilter
from service.domain.background_tasks import TaskStatus
from service.domain.destinations import HttpDestination
from service.domain.endpoints import Endpoint
from service.domain.health import FAILING_AGES, FAILURES_COUNTED
from service.domain.ids import ApplicationId, EndpointId, OrgId
from service.domain.replays import Window
from tests.support import postgres
from tests.support.factories import VAULT

ORG, APP = OrgId("org"), ApplicationId("app_1")
NOW = datetime.now(UTC)
ENDPOINT = Endpoint(
    id=EndpointId("ep_1"),
    app_id=APP,
    org_id=ORG,
    destination=HttpDestination(url="https://example.com"),
    created_at=NOW,
    updated_at=NOW,
)
FIRST, FOLLOWING = PageRequest(), PageRequest(after="k")
LISTS: dict[str, Callable[[Transaction], Awaitable[object]]] = {
    "applications": lambda asked: PostgresApplications(asked).page(ORG, FOLLOWING),
    "an application by its uid": lambda asked: PostgresApplications(asked).get(ORG, "a-uid"),
    "endpoints": lambda asked: PostgresEndpoints(asked, VAULT).page(APP, FOLLOWING),
    "an endpoint by its uid": lambda asked: PostgresEndpoints(asked, VAULT).get(APP, "a-uid"),
    "event types": lambda asked: PostgresEventTypes(asked).page(ORG, FIRST, include_archived=False, flags=("beta",)),
    "background tasks": lambda asked: PostgresBackgroundTasks(asked).page(
        ORG, FIRST, TaskFilter(kind="a"), app_id=None
    ),
    "background tasks of an application": lambda asked: PostgresBackgroundTasks(asked).page(
        ORG, FOLLOWING, TaskFilter(), app_id=APP
    ),
    "background tasks that run": lambda asked: PostgresBackgroundTasks(asked).page(
        ORG, FOLLOWING, TaskFilter(status=TaskStatus.RUNNING), app_id=None
    ),
    "an import by its file": lambda asked: PostgresImports(asked).get(APP, "a-file"),
    "refused lines": lambda asked: PostgresImports(asked).faults(APP, "imp_1", PageRequest(after="7")),
    "the audit trail of an action": lambda asked: PostgresAudit(asked).page(ORG, FOLLOWING, AuditFilter(action="a")),
    "the audit trail of an application": lambda asked: PostgresAudit(asked).page(
        ORG, FOLLOWING, AuditFilter(app_id=APP, action="a", before=NOW, after=NOW)
    ),
    "the audit trail": lambda asked: PostgresAudit(asked).page(ORG, FOLLOWING),
    "an endpoint's statistics": lambda asked: PostgresStatistics(asked).attempts(
        ENDPOINT, Window(since=NOW - timedelta(days=28), until=NOW)
    ),
    "usage by application": lambda asked: PostgresStatistics(asked).usage(
        ORG, FOLLOWING, Window(since=NOW - timedelta(days=28), until=NOW), among=None
    ),
    "endpoints that take nothing": lambda asked: PostgresStatistics(asked).failing(ORG, size=10),
    "how an endpoint stands": lambda asked: PostgresStatistics(asked).condition(ENDPOINT),
    "event types by application": lambda asked: PostgresStatistics(asked).subscriptions(ORG, FOLLOWING),
}
BY_ID = {"forget_event_ids", "forget_tasks", "shorten_audit"}
UPKEEP: dict[str, tuple[object, ...]] = {
    **{
        name: statement(before="msg_" if name in BY_ID else NOW, batch=100)
        for name, statement in upkeep.CLEARING.items()
        if name != "forget_throttles"  # whose table has a row for each rate that is asked for, and no more
    },
    "revocations since": revocations.SINCE(since=NOW),
    "forget revocations": revocations.FORGET(now=NOW, batch=100),
    "claim a task": background_tasks.CLAIM(lease="lease", lease_lasts=timedelta(seconds=30), kinds=["a"]),
    "postpone a task": background_tasks.POSTPONE(id="qtask_1", lease="lease", longest_wait=300.0),
    "give a task up": background_tasks.GIVE_UP(id="qtask_1", lease="lease", status="failed", data="{}", at=NOW),
    "the next task": background_tasks.NEXT_DUE(kinds=["a"], poll=timedelta(seconds=5)),
    "count what fails": endpoint_health.COUNT_FAILING(
        ages=list(FAILING_AGES.values()), recent=FAILURES_COUNTED, looked_at=1000
    ),
    "sample the queue": SAMPLE(most=100),
}


class Asked(Exception):
    """A repository's statement, instead of its answer."""

    def __init__(self, *statement: object) -> None:
        self.statement = statement


class Asking(Transaction):
    """Answers nothing."""

    def __init__(self) -> None:
        pass

    async def execute(self, statement: Executable) -> NoReturn:
        raise Asked(*written(statement))

    async def execute_driver(self, statement: object, *parameters: object) -> NoReturn:
        raise Asked(statement, *parameters)


@pytest.fixture(scope="module")
async def connection(migrated_server: EmbeddedServer) -> AsyncIterator[asyncpg.Connection]:
    async with postgres.fresh_database(migrated_server) as url:
        connection = await asyncpg.connect(dsn(url))
        await connection.execute("SET enable_seqscan = off")
        yield connection
        await connection.close()


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_goes_by_an_index(connection: asyncpg.Connection, name: str) -> None:
    with pytest.raises(Asked) as asked:
        await LISTS[name](Asking())

    assert await without_an_index(connection, *asked.value.statement) == []


@pytest.mark.parametrize("name", UPKEEP)
async def test_upkeep_goes_by_an_index(connection: asyncpg.Connection, name: str) -> None:
    assert await without_an_index(connection, *UPKEEP[name]) == []


def written(statement: Executable) -> tuple[Any, ...]:
    """The statement and its parameters as asyncpg takes them."""
    assert isinstance(statement, ClauseElement)
    dialect = create_async_engine("postgresql+asyncpg://").dialect
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    return str(compiled), *(compiled.params[name] for name in getattr(compiled, "positiontup", None) or ())


async def without_an_index(connection: asyncpg.Connection, statement: object, *parameters: object) -> list[str]:
    """The tables that are read from end to end, or along an index from end to end."""
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters))
    return [
        str(node.get("Relation Name", node.get("Index Name")))
        for node in _nodes(plan[0]["Plan"])
        if node["Node Type"] == "Seq Scan" or (node["Node Type"].startswith("Index") and "Index Cond" not in node)
    ]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
