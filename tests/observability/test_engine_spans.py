"""The spans of SQL statements: there, single, and without what a driver says."""

from collections.abc import AsyncIterator

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from structlog.contextvars import bound_contextvars

from service.observability.instrumentation import instrument_database
from service.observability.telemetry import Telemetry
from tests.support.otlp import Collector


@pytest.fixture
async def engine(empty_database: str, telemetry: Telemetry) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(empty_database)
    with instrument_database(engine, telemetry):
        yield engine
    await engine.dispose()


async def test_a_statement_is_one_span_and_connecting_is_none(engine: AsyncEngine, collector: Collector) -> None:
    with bound_contextvars(correlation_id="order-17"):
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))

    collector.wait_for(lambda seen: bool(seen.spans))
    (span,) = collector.spans
    assert span.kind == "CLIENT"
    assert span.attributes["relevo.correlation_id"] == "order-17"
    assert span.name.startswith("SELECT")
    assert span.attributes["db.system.name"] == "postgresql"


async def test_suppressed_statements_make_no_spans(engine: AsyncEngine, collector: Collector) -> None:
    with suppress_instrumentation():
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))
    async with engine.begin() as connection:
        await connection.execute(text("SELECT 2"))

    collector.wait_for(lambda seen: bool(seen.spans))
    (span,) = collector.spans
    assert span.attributes["db.query.text"] == "SELECT 2"


async def test_a_unique_violations_detail_is_on_no_span(engine: AsyncEngine, collector: Collector) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE thing (uid text PRIMARY KEY)"))
        await connection.execute(text("INSERT INTO thing VALUES (:uid)"), {"uid": "marker"})

    with pytest.raises(IntegrityError) as raised:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO thing VALUES (:uid)"), {"uid": "marker"})

    assert isinstance(raised.value, DBAPIError)
    collector.wait_for(lambda seen: len(seen.spans) == 3)
    (span,) = [span for span in collector.spans if span.failed]
    assert span.attributes["error.type"] == "UniqueViolationError"
    assert span.message == ""
    assert b"marker" not in collector.everything
