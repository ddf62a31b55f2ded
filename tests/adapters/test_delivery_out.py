"""The files that one opens to follow a delivery out, as service/README.md lists them, against what runs for one."""

import ast
import re
from datetime import timedelta
from ipaddress import ip_network

import asyncpg
import pytest

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.delivery.attempts import Attempts, Courier
from service.delivery.engine import Engine
from service.domain.signatures import Signing
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import open_telemetry
from service.runtime.destinations import senders
from tests.support.certificates import NO_AUTHORITIES
from tests.support.factories import add_application, add_endpoint
from tests.support.patience import patient
from tests.support.queues import a_worker, owe
from tests.support.receiver import running_receiver
from tests.support.watching import SERVICE, watched

LOCAL = Egress([ip_network("127.0.0.0/8")])
TELLING = "observability/"
# Whoever imports one of these knows what a delivery is.
OF_DELIVERIES = {
    "service.domain.deliveries",
    "service.domain.destinations",
    "service.domain.outcomes",
    "service.domain.retries",
    "service.application.ports.destinations",
    "service.application.ports.queue",
}


def listed() -> list[str]:
    """The list of the README."""
    _, _, section = (SERVICE / "README.md").read_text().partition("### File by file\n")
    return re.findall(r"^\d+\. \[[^]]+\]\(([^)]+)\)", section.partition("\n#")[0], re.MULTILINE)


def knows_deliveries(file: str) -> bool:
    tree = ast.parse((SERVICE / file).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return bool(imported & OF_DELIVERIES)


@pytest.fixture
async def ran(pool: asyncpg.Pool, database: str) -> set[str]:
    """The files that run when one delivery is claimed, attempted and settled, and another one fails."""
    app = await add_application(pool)
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        running_receiver() as receiver,
        open_http_client(LOCAL, concurrency=4, ssl_context=NO_AUTHORITIES) as client,
        a_worker(pool, database, DeliveryTelemetry(telemetry)) as queue,
    ):
        told = DeliveryTelemetry(telemetry)
        attempts = Attempts(
            senders=senders(client, timeout=patient(20), egress=LOCAL),
            clock=SystemClock(),
            new_id=new_id,
            telemetry=told,
            schedule=(timedelta(hours=1),),
            signing=Signing(families=("webhook",), ed25519=Ed25519().sign),
        )
        courier = Courier(queue=queue, attempts=attempts, telemetry=told, give_up_after=timedelta(seconds=5))
        minute = timedelta(seconds=60)
        engine = Engine(queue=queue, carry=courier.carry, capacity=4, per_endpoint=2, drain=minute, hold=minute)
        for path in ("ok", "status/500"):
            await owe(pool, await add_endpoint(pool, app, url=f"{receiver.url}/{path}"), app)
        with watched() as files:
            async with engine.running():
                await receiver.wait_for(2)
    assert await pool.fetchval("SELECT count(*) FROM attempt") == 2
    return files


def test_there_are_fewer_than_twenty_of_them_and_each_is_there() -> None:
    assert 10 < len(set(listed())) == len(listed()) < 20
    assert [file for file in listed() if not (SERVICE / file).is_file()] == []


async def test_whatever_runs_for_a_delivery_is_listed_tells_of_it_or_knows_nothing_of_deliveries(ran: set[str]) -> None:
    unlisted = {file for file in ran - set(listed()) if not file.startswith(TELLING)}

    assert {file for file in unlisted if knows_deliveries(file)} == set()


async def test_whatever_is_listed_runs_or_is_the_sql_of_what_does(ran: set[str]) -> None:
    assert {file for file in listed() if file.replace(".sql", ".py") not in ran} == set()
