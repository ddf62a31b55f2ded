"""What tests with real processes share."""

from collections.abc import AsyncIterator

import pytest

from service.adapters.machine.embedded import EmbeddedServer
from tests.support import postgres
from tests.support.receiver import Receiver, running_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def other(migrated_server: EmbeddedServer) -> AsyncIterator[str]:
    """The URL of a second migrated database."""
    async with postgres.fresh_database(migrated_server) as url:
        yield url
