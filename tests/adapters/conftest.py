"""What the tests of adapters share."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.adapters.postgres.server.database import dsn, open_database
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import open_telemetry
from tests.support.streams import Streams, open_streams


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """A few connections of the hot path's own kind."""
    async with asyncpg.create_pool(dsn(database), min_size=1, max_size=4) as pool:
        yield pool


@pytest.fixture
async def told() -> AsyncIterator[DeliveryTelemetry]:
    """Telemetry that nobody collects."""
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        yield DeliveryTelemetry(telemetry)


@pytest.fixture
async def streams(database: str) -> AsyncIterator[Streams]:
    """Readers of ordered destinations, and what accepts messages for them."""
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        open_database(database) as opened,
        open_streams(opened, database, telemetry) as streams,
    ):
        yield streams
