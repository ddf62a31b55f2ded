"""Lists over a database with two weeks behind it: each page is what it should be, and reads little more than itself."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.repositories.deliveries import PostgresDeliveries
from service.adapters.postgres.repositories.messages import PostgresMessages
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import STANDING, AttemptFilter, PageRequest
from service.domain import ids
from service.domain.deliveries import Status
from service.domain.ids import ApplicationId, EndpointId
from tests.benchmarks import history
from tests.benchmarks.history import COMMON_LABEL, COMMON_TYPE, RARE_LABEL, RARE_TYPE
from tests.support import postgres

APP, ENDPOINT = ApplicationId("app_1"), EndpointId("ep_1")
MESSAGES = 2000
A_PAGE = 10
A_LITTLE = 600  # rows; there are 2,000 messages, 4,000 attempts and as many deliveries
PLACE = (
    "INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
    " VALUES ('app_1', 'org', '', '{}', now(), now())",
    "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets, headers,"
    " created_at, updated_at)"
    " SELECT 'ep_' || n, 'org', 'app_1', '', '', 1, false, '{}', '', '', now(), now() FROM generate_series(1, 2) n",
)
# Some failed in other ways, some were settled by hand and are retried all the same, some wait for their first attempt.
VARIETY = (
    "UPDATE attempt SET status = 2, response_status_code = 404 WHERE hashtext(id) % 50 = 0 AND status = 0",
    "UPDATE attempt SET status = 2, response_status_code = 0 WHERE hashtext(id) % 50 = 1 AND status = 0",
    "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, attempts, due_at)"
    " SELECT endpoint_id, message_id, org_id, app_id, hashtext(message_id) % 2, now() FROM settled_delivery"
    " WHERE hashtext(message_id) % 40 IN (0, 1)",
    "VACUUM (ANALYZE)",
)
# As of many rows, of which the planner would never read a whole partition.
AS_IF_LARGE = (
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)
MIDDLE = datetime.now(UTC) - timedelta(weeks=1)
FILTERS = [
    AttemptFilter(),
    AttemptFilter(before=MIDDLE),
    AttemptFilter(before=MIDDLE, after=MIDDLE - timedelta(days=2)),
    AttemptFilter(event_types=(RARE_TYPE,)),
    AttemptFilter(event_types=(COMMON_TYPE, RARE_TYPE, "unheard.of")),
    AttemptFilter(event_types=("unheard.of",)),
    AttemptFilter(tag=RARE_LABEL),
    AttemptFilter(tag=COMMON_LABEL, before=MIDDLE),
    AttemptFilter(channel=COMMON_LABEL),
    AttemptFilter(event_types=(RARE_TYPE,), tag=RARE_LABEL),
]
MESSAGE_FILTERS = [*FILTERS, AttemptFilter(channel=COMMON_LABEL, tag=RARE_LABEL)]
ATTEMPT_FILTERS = [
    *FILTERS,
    AttemptFilter(status=Status.FAIL),
    AttemptFilter(status=Status.SUCCESS, after=MIDDLE, before=MIDDLE + timedelta(days=3)),
    AttemptFilter(status_code_class=0),
    AttemptFilter(status_code_class=500),
    AttemptFilter(status=Status.FAIL, status_code_class=400),
    AttemptFilter(status=Status.FAIL, event_types=(RARE_TYPE,)),
    AttemptFilter(status_code_class=500, tag=RARE_LABEL),
    AttemptFilter(status=Status.PENDING),
]
STATE_FILTERS = [
    *MESSAGE_FILTERS,
    *(AttemptFilter(status=status) for status in Status),
    AttemptFilter(status=Status.SENDING, before=MIDDLE),
    AttemptFilter(status=Status.SENDING, tag=COMMON_LABEL),
    AttemptFilter(status=Status.FAIL, event_types=(RARE_TYPE,)),
    AttemptFilter(status=Status.FAIL, tag=RARE_LABEL, event_types=(RARE_TYPE, COMMON_TYPE)),
]

STANDING_FILTERS = [
    *(AttemptFilter(status=status) for status in STANDING),
    AttemptFilter(status=Status.SENDING, before=MIDDLE),
    AttemptFilter(status=Status.FAIL, after=MIDDLE, before=MIDDLE + timedelta(days=3)),
    AttemptFilter(status=Status.SUCCESS, event_types=(RARE_TYPE,)),
    AttemptFilter(status=Status.SUCCESS, tag=RARE_LABEL),
    AttemptFilter(status=Status.FAIL, event_types=(COMMON_TYPE,)),
    AttemptFilter(status=Status.SUCCESS, event_types=(COMMON_TYPE,)),
    AttemptFilter(status=Status.FAIL, tag=COMMON_LABEL),
    AttemptFilter(status=Status.SENDING, event_types=(RARE_TYPE, COMMON_TYPE), tag=RARE_LABEL),
]


@dataclass(frozen=True, slots=True)
class Item:
    """What the filters look at."""

    id: str
    event_type: str
    label: str | None
    status: int | None = None
    code: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A database with a past: connections of both kinds."""

    session: AsyncSession
    connection: asyncpg.Connection


@pytest.fixture(scope="module")
async def place(migrated_server: EmbeddedServer) -> AsyncIterator[Place]:
    async with postgres.fresh_database(migrated_server) as url:
        connection = await asyncpg.connect(dsn(url))
        for statement in PLACE:
            await connection.execute(statement)
        await history.write(url, APP, messages=MESSAGES, weeks=2)
        for statement in VARIETY:
            await connection.execute(statement)
        await connection.execute(AS_IF_LARGE)
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            yield Place(session, connection)
        await engine.dispose()
        await connection.close()


async def test_pages_of_messages_are_right_and_read_little(place: Place) -> None:
    rows = await place.connection.fetch("SELECT id, event_type, tags[1] AS label FROM message")
    messages = PostgresMessages(Transaction(place.session))

    async def page(request: PageRequest, wanted: AttemptFilter) -> list[str]:
        return [item.id for item in (await messages.page(APP, request, wanted)).items]

    for wanted in MESSAGE_FILTERS:
        await check_pages(place, page, wanted, [Item(**row) for row in rows], ids.MESSAGE)


async def test_pages_of_messages_by_the_state_of_a_delivery_are_right_and_read_little(place: Place) -> None:
    """Each message has a delivery to each of two endpoints; it is wanted for either."""
    rows = await place.connection.fetch(
        "SELECT m.id, event_type, tags[1] AS label, CASE WHEN p.attempts > 0 THEN 3 ELSE s.status END AS status"
        " FROM message m CROSS JOIN endpoint e"
        " LEFT JOIN settled_delivery s ON s.message_id = m.id AND s.endpoint_id = e.id"
        " LEFT JOIN pending_delivery p ON p.message_id = m.id AND p.endpoint_id = e.id"
        " WHERE p.attempts > 0 OR s.status IS NOT NULL"
    )
    messages = PostgresMessages(Transaction(place.session))

    async def page(request: PageRequest, wanted: AttemptFilter) -> list[str]:
        standing = replace(wanted, standing=wanted.status, status=None)
        return [item.id for item in (await messages.page(APP, request, standing)).items]

    for wanted in STANDING_FILTERS:
        await check_pages(place, page, wanted, [Item(**row) for row in rows], ids.MESSAGE)


async def test_pages_of_an_endpoints_attempts_are_right_and_read_little(place: Place) -> None:
    rows = await place.connection.fetch(
        "SELECT id, event_type, channels[1] AS label, status, response_status_code AS code FROM attempt"
        " WHERE endpoint_id = $1",
        ENDPOINT,
    )
    deliveries = PostgresDeliveries(Transaction(place.session))

    async def page(request: PageRequest, wanted: AttemptFilter) -> list[str]:
        return [item.id for item in (await deliveries.attempts_by_endpoint(APP, ENDPOINT, request, wanted)).items]

    for wanted in ATTEMPT_FILTERS:
        await check_pages(place, page, wanted, [Item(**row) for row in rows], ids.ATTEMPT)


async def test_pages_of_the_messages_of_an_endpoint_are_right_and_read_little(place: Place) -> None:
    rows = await place.connection.fetch(
        "SELECT m.id, event_type, tags[1] AS label, CASE WHEN p.attempts > 0 THEN 3 ELSE s.status END AS status"
        " FROM message m LEFT JOIN settled_delivery s ON s.message_id = m.id AND s.endpoint_id = $1"
        " LEFT JOIN pending_delivery p ON p.message_id = m.id AND p.endpoint_id = $1"
        " WHERE p.attempts > 0 OR s.status IS NOT NULL",
        ENDPOINT,
    )
    deliveries = PostgresDeliveries(Transaction(place.session))

    async def page(request: PageRequest, wanted: AttemptFilter) -> list[str]:
        found = await deliveries.messages(APP, ENDPOINT, request, wanted)
        items = {item.id: item for item in (Item(**row) for row in rows)}
        assert [state.status for _, state in found.items] == [items[message.id].status for message, _ in found.items]
        return [message.id for message, _ in found.items]

    for wanted in STATE_FILTERS:
        await check_pages(place, page, wanted, [Item(**row) for row in rows], ids.MESSAGE)


async def test_pages_of_a_messages_attempts_read_little(place: Place) -> None:
    message_id = await place.connection.fetchval("SELECT message_id FROM attempt WHERE status = 2 LIMIT 1")
    transaction = Transaction(place.session)
    message = await PostgresMessages(transaction).get(APP, message_id, with_content=False)
    assert message is not None

    for wanted in ATTEMPT_FILTERS:
        with heard(place) as statements:
            await PostgresDeliveries(transaction).attempts_by_message(message, PageRequest(limit=A_PAGE), wanted)

        assert await rows_read(place, statements) < A_LITTLE, wanted


async def check_pages(
    place: Place,
    page: Callable[[PageRequest, AttemptFilter], Awaitable[list[str]]],
    wanted: AttemptFilter,
    items: Sequence[Item],
    prefix: str,
) -> None:
    """The first page, the one after it, and back again."""
    expected = sorted({item.id for item in items if _is_wanted(item, wanted, prefix)}, reverse=True)
    with heard(place) as statements:
        first = await page(PageRequest(limit=A_PAGE), wanted)
        after = PageRequest(limit=A_PAGE, after=first[-1]) if first else PageRequest(limit=A_PAGE)
        second = await page(after, wanted)
        back = await page(replace(after, after=second[0], backwards=True), wanted) if second else first

    assert (first, second) == (expected[:A_PAGE], expected[A_PAGE : 2 * A_PAGE]), wanted
    assert back == first, wanted
    if await rows_read(place, statements) >= A_LITTLE * len(statements):
        # The server's own vacuum may have come in between, and the plan be of what it saw: seen on a busy machine.
        await place.connection.execute("VACUUM (ANALYZE)")
        assert await rows_read(place, statements) < A_LITTLE * len(statements), wanted


def _is_wanted(item: Item, wanted: AttemptFilter, prefix: str) -> bool:
    return (
        (wanted.before is None or item.id < ids.lowest(prefix, wanted.before))
        and (wanted.after is None or item.id > ids.lowest(prefix, wanted.after))
        and (wanted.event_types is None or item.event_type in wanted.event_types)
        and all(item.label == label for label in (wanted.tag, wanted.channel) if label is not None)
        and (wanted.status is None or item.status == wanted.status)
        and (wanted.status_code_class is None or item.code // 100 * 100 == wanted.status_code_class)
    )


@contextmanager
def heard(place: Place) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """The statements of the session while the block lasts, with what they were given."""
    statements: list[tuple[str, tuple[Any, ...]]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: tuple[Any, ...], *_: Any) -> None:
        statements.append((statement, parameters))

    engine = place.session.get_bind()
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", hear)


async def rows_read(place: Place, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> float:
    """How many rows of tables and entries of indexes the statements look at."""
    read = 0.0
    for statement, parameters in statements:
        plan = json.loads(await place.connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *parameters))
        read += sum(_rows(node) for node in _nodes(plan[0]["Plan"]))
    return read


def _rows(node: Mapping[str, Any]) -> float:
    if "Relation Name" not in node and "Index Name" not in node:
        return 0.0
    return float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
