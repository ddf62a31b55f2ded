"""A collector, telemetry that exports to it, and log lines to read."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog

from service.observability.logging import configure_logging
from service.observability.telemetry import Telemetry, open_telemetry
from tests.support.otlp import Collector, running_collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that answers."""
    with running_collector() as collector:
        yield collector


@pytest.fixture
async def telemetry(collector: Collector) -> AsyncIterator[Telemetry]:
    """All three signals, exported to the collector."""
    structlog.contextvars.clear_contextvars()  # a test of the API without its middleware leaves what it bound
    async with open_telemetry(role="test", version="1.2.3", environ=collector.environ()) as telemetry:
        yield telemetry


class Lines(io.StringIO):
    """What was logged, read back."""

    @property
    def all(self) -> list[dict[str, Any]]:
        """Every line, decoded."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.all if line["event"] == event]

    def one(self, event: str) -> dict[str, Any]:
        """The only line of that event."""
        (found,) = self.of(event)
        return found


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Logging is the process's own; give it back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def lines(telemetry: Telemetry) -> Lines:
    """Every line of the process, which also goes to the collector."""
    lines = Lines()
    configure_logging(logger_provider=telemetry.logger_provider, stream=lines)
    return lines
