"""What tests with real processes share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.receiver import Receiver, running_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver
