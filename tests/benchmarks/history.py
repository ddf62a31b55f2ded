"""A database as it is after some weeks: messages, attempts and what became of them, in the partitions of their weeks.

Filled by SQL. However many messages there are, a hundred of them are rare: they have a type, a tag and a channel of
their own, and failed everywhere. A hundred more are still being sent.
"""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import asyncpg

from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import dsn
from service.domain import ids
from tests.benchmarks.database import Database, Server
from tests.benchmarks.invoice import written

WEEKS = 12
ENDPOINTS = 3
A_WEEKS_MOMENTS = 100
RARE = 100
A_PART = 25_000
WRITERS = 2
COMMON_TYPE, RARE_TYPE = "invoice.paid", "invoice.refunded"
COMMON_LABEL, RARE_LABEL = "often", "seldom"

# Messages of one moment share the first digits of their identifiers and are told apart by their number.
_NUMBERED = f"""
WITH numbered AS (
    SELECT n, m.moments[1 + (n - 1)::bigint * cardinality(m.moments) / $2::int] AS moment,
           n % greatest($2 / {RARE}, 3) = 1 AS rare, n % greatest($2 / {RARE}, 3) = 2 AS owed, n % 10 = 0 AS often
    FROM generate_series($3::int, $4::int) n, (SELECT $5::text[] AS moments) m
)
"""
_LABELS = f"CASE WHEN rare THEN ARRAY['{RARE_LABEL}'] WHEN often THEN ARRAY['{COMMON_LABEL}'] END"
_MESSAGES = f"""
{_NUMBERED}
INSERT INTO message (id, org_id, app_id, event_type, payload, channels, tags, expires_at, correlation_id)
SELECT '{ids.MESSAGE}' || moment || lpad(to_hex(n), 15, '0'), a.org_id, a.id,
       CASE WHEN rare THEN '{RARE_TYPE}' ELSE '{COMMON_TYPE}' END,
       convert_to('{written()}', 'UTF8'),
       {_LABELS}, {_LABELS}, now() + interval '90 days', 'a-request'
FROM numbered, application a WHERE a.id = $1
"""
_ATTEMPTS = f"""
{_NUMBERED}
INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, channels, url, status, response,
                     response_status_code, duration_ms, trigger, number)
SELECT '{ids.ATTEMPT}' || moment || lpad(to_hex(n * 256::bigint + e.nth), 15, '0'), e.org_id, e.app_id,
       '{ids.MESSAGE}' || moment || lpad(to_hex(n), 15, '0'), e.id,
       CASE WHEN rare THEN '{RARE_TYPE}' ELSE '{COMMON_TYPE}' END, {_LABELS}, e.url,
       CASE WHEN rare THEN 2 ELSE 0 END, '{{}}', CASE WHEN rare THEN 500 ELSE 200 END, 5, 0, 1
FROM numbered, (SELECT *, row_number() OVER (ORDER BY id) AS nth FROM endpoint WHERE app_id = $1) e
WHERE NOT owed
ORDER BY n, e.nth
"""
_SETTLED = f"""
{_NUMBERED}
INSERT INTO settled_delivery (message_id, endpoint_id, org_id, app_id, status, attempts)
SELECT '{ids.MESSAGE}' || moment || lpad(to_hex(n), 15, '0'), e.id, e.org_id, e.app_id,
       CASE WHEN rare THEN 2 ELSE 0 END, 1
FROM numbered, endpoint e
WHERE e.app_id = $1 AND NOT owed
"""
_PENDING = f"""
{_NUMBERED}
INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, attempts, due_at)
SELECT e.id, '{ids.MESSAGE}' || moment || lpad(to_hex(n), 15, '0'), e.org_id, e.app_id, 1, now() + interval '12 hours'
FROM numbered, endpoint e
WHERE e.app_id = $1 AND owed
"""
_HOURS = """
INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)
SELECT e.id, date_trunc('hour', now(), 'UTC') - n * interval '1 hour', part, e.org_id, e.app_id, 100, 1, 0
FROM endpoint e, generate_series(0, 24 * 28) n, generate_series(0, 3) part WHERE e.app_id = $1
"""


class Past:
    """Databases with twelve weeks behind them, made when they are first asked for and kept for whoever asks next."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self._server = server
        self._stack = stack
        self._made: dict[int, tuple[Database, str]] = {}

    def __call__(self, messages: int) -> tuple[Database, str]:
        """One with that many messages, each delivered to three endpoints, and the application that sent them."""
        if messages not in self._made:
            used = self._stack.enter_context(self._server.database(f"past_{messages}"))
            app_id = used.add_application(*(f"http://127.0.0.1:9/{nth}" for nth in range(ENDPOINTS)))
            asyncio.run(write(used.url, app_id, messages=messages))
            self._made[messages] = used, app_id
        return self._made[messages]


async def write(url: str, app_id: str, *, messages: int, weeks: int = WEEKS) -> None:
    """That many messages, spread over the weeks until now, and give the planner what autovacuum would in time."""
    moments = _moments(datetime.now(UTC), weeks)
    parts = [(first, min(first + A_PART - 1, messages)) for first in range(1, messages + 1, A_PART)]
    async with asyncpg.create_pool(dsn(url), min_size=1, max_size=WRITERS, command_timeout=600) as pool:
        await _make_room(pool, weeks)
        await asyncio.gather(*(_write(pool, app_id, messages, parts[nth::WRITERS], moments) for nth in range(WRITERS)))
        await pool.execute(_HOURS, app_id)
        await pool.execute("VACUUM (ANALYZE)")


async def _make_room(pool: asyncpg.Pool, weeks: int) -> None:
    async with pool.acquire() as connection:
        for week in range(weeks + 1):
            await partitions.ensure(connection, now=datetime.now(UTC) - timedelta(weeks=week))


async def _write(
    pool: asyncpg.Pool, app_id: str, messages: int, parts: list[tuple[int, int]], moments: list[str]
) -> None:
    for first, last in parts:
        for statement in (_MESSAGES, _ATTEMPTS, _SETTLED, _PENDING):
            await pool.execute(statement, app_id, messages, first, last, moments)


def _moments(now: datetime, weeks: int) -> list[str]:
    """As many digits as tell the time."""
    step = timedelta(weeks=1) / A_WEEKS_MOMENTS
    return [ids.lowest("", now - step * nth)[:12] for nth in reversed(range(weeks * A_WEEKS_MOMENTS))]
