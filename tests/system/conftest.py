"""What tests with real processes share."""

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
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver
