"""The stack, a Relevo that tells it everything, and a receiver: each once for the run, as processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.brokers import kinds
from deploy.brokers.processes import Broker, free_ports
from deploy.stack import programs
from deploy.stack.processes import Ports, Stack, running_stack
from tests.stack.relevo import Relevo, running_receiver, running_relevo, telemetry_to
from tests.stack.story import Story, told

HERE = Path(__file__).parent
IMPATIENT = {"COLLECTOR_METRICS_INTERVAL_MS": "1000", "SPAN_METRICS_INTERVAL": "1s"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These tests build programs that take minutes: they run for those who name this directory."""
    wanted = [Path(argument.partition("::")[0]).absolute() for argument in config.args]
    named = any(path == HERE or HERE in path.parents for path in wanted)
    return None if named or HERE not in collection_path.parents else True


@pytest.fixture(scope="session")
def collector() -> Path:
    """The collector's program."""
    return programs.build(programs.COLLECTOR)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' own judge of configurations and rules."""
    return programs.build(programs.PROMTOOL)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector, Jaeger and Prometheus, impatient."""
    with running_stack(tmp_path_factory.mktemp("stack"), Ports.free(), IMPATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def relevo(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relevo]:
    """A `relevo serve` that sends all three signals to the stack."""
    with running_relevo(tmp_path_factory.mktemp("relevo"), **telemetry_to(stack.otlp_grpc)) as running:
        yield running


@pytest.fixture(scope="session")
def receiver() -> Iterator[str]:
    """The URL of a receiver."""
    with running_receiver() as url:
        yield url


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A NATS server with JetStream."""
    started = kinds.nats(tmp_path_factory.mktemp("nats"), port=free_ports(1)[0])
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="session")
def story(relevo: Relevo, receiver: str, broker: Broker) -> Story:
    """Messages and what became of them, told by the API."""
    return told(relevo, receiver, broker)
