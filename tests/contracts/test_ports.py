"""Every port of a unit of work has its contract."""

from pathlib import Path

import pytest

from service.application.ports.unit_of_work import UnitOfWork

PORTS = [name for name, held in vars(UnitOfWork).items() if isinstance(held, property)]


@pytest.mark.parametrize("port", PORTS)
def test_a_port_has_its_contract(port: str) -> None:
    assert (Path(__file__).parent / f"test_{port}.py").exists()


def test_there_are_ports() -> None:
    assert {"applications", "idempotency", "outbox"} <= set(PORTS)
