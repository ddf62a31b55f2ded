"""What tests with real processes share."""

import os
import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, running_receiver


@pytest.fixture
def directory() -> Iterator[Path]:
    """Like `tmp_path`, but short enough for the path of a Unix socket below it."""
    with tempfile.TemporaryDirectory(prefix="relevo-") as path:
        yield Path(path)


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
