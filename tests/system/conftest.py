"""What tests with real processes share."""

import os
import random
from collections.abc import AsyncIterator

import pytest

from tests.support.receiver import Receiver, running_receiver


@pytest.fixture
def chance() -> random.Random:
    """Chance that can be had again: SEED of a failed run repeats its kills."""
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")  # noqa: T201  # pytest shows it with a failure
    return random.Random(seed)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver
