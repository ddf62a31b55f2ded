"""One set of brokers for all tests, and names of each test's own on them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from deploy.brokers.together import Brokers, Ports, running_brokers

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These tests build programs that take minutes: they run for those who name this directory."""
    wanted = [Path(argument.partition("::")[0]).absolute() for argument in config.args]
    named = any(path == HERE or HERE in path.parents for path in wanted)
    return None if named or HERE not in collection_path.parents else True


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """NATS, Kafka, RabbitMQ and an S3-compatible server. No test stops them: who needs that starts one of its own, by
    `deploy.brokers.kinds`."""
    with (
        tempfile.TemporaryDirectory(prefix="relevo-brokers-") as directory,
        running_brokers(Path(directory), Ports.free()) as running,
    ):
        yield running


@pytest.fixture
def name() -> str:
    """For the test's own subject, topic, queue, exchange or prefix."""
    return f"test-{token_hex(6)}"
