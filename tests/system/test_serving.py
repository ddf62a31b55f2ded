"""A server as callers reach it: over both families of addresses, by its public URL, and while it is leaving."""

import asyncio
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from service.domain.ids import ApplicationId
from service.observability.health import Health
from service.observability.telemetry import open_telemetry
from service.runtime.database import DatabaseUrls
from service.runtime.services import open_services
from service.settings import Settings
from tests.api.raw_callers import Caller, calling
from tests.faults.wire import open_wire
from tests.support.patience import patient
from tests.support.processes import SECRET, RelevoProcess, asking, run, running, settings

BODY = b'{"eventType": "t", "payload": {}, "application": {"name": "a", "uid": "a"}}'

pytestmark = pytest.mark.timeout(120)


async def test_all_addresses_of_ipv6_are_those_of_ipv4_as_well(database: str, directory: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("NOT TESTED: there is no IPv6 on this machine")
    environ = settings(
        RELEVO_DATABASE_URL=database, RELEVO_HOST="::", RELEVO_PUBLIC_URL="https://relevo.example.com/hooks/"
    )
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server), asking(**bearer()) as client:
        for host in ("127.0.0.1", "[::1]"):
            answer = await client.post(
                f"http://{host}:{environ['RELEVO_PORT']}/api/v1/auth/app-portal-access/a",
                json={"application": {"name": "a", "uid": "a"}},
                headers={"host": "elsewhere.test"},
            )
            assert answer.status_code == 200
            link = "https://relevo.example.com/hooks/console/portal#token="
            assert answer.json()["url"].startswith(link), "it repeats no Host"
        async with calling(int(environ["RELEVO_PORT"])) as caller:
            await caller.send(b"GET / HTTP/1.1\r\n\r\n")
            refused = await caller.everything()
        metrics = (await client.get(f"http://[::1]:{environ['RELEVO_PORT']}/metrics")).text

    assert refused.startswith(b"HTTP/1.1 400 ")
    told = server.events("request.refused")
    assert [line["status"] for line in told] == [400]
    assert str(told[0]["correlation_id"]).encode() in refused
    counted = [line for line in metrics.splitlines() if line.startswith("http_server_request_duration_seconds_count")]
    assert [line for line in counted if '"_OTHER"' in line and '"400"' in line and line.endswith(" 1.0")]


async def test_a_request_in_flight_is_answered_before_the_server_leaves(database: str, directory: Path) -> None:
    environ = settings(RELEVO_DATABASE_URL=database)
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server), calling(int(environ["RELEVO_PORT"])) as caller:
        await begin(caller, environ)
        leaving = asyncio.create_task(server.stop())
        async with asyncio.timeout(patient(20)):
            while await is_let_in(environ):
                pass
            # By then a server that waits for nobody has hung up.
            while not server.events("Waiting for connections to close. (CTRL+C to force quit)"):  # noqa: ASYNC110  # its log
                await asyncio.sleep(0.05)
        await caller.send(BODY[10:])
        answer = await caller.everything()
        status = await leaving

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert status == 0


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(
    ("role", "variable"), [("serve", "RELEVO_PORT"), ("serve", "RELEVO_OPS_PORT"), ("worker", "RELEVO_OPS_PORT")]
)
async def test_a_port_that_another_process_listens_on_since_the_start_is_told(
    role: str, variable: str, processes: str, database: str
) -> None:
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(("127.0.0.1", 0))
        port = rival.getsockname()[1]

        def begin_to_listen() -> str:
            """When it asks for its database it has bound its ports, and does not listen yet."""
            rival.listen()
            return socket_of(database)

        async with open_wire(begin_to_listen) as wire:
            address = f"postgresql://postgres@127.0.0.1:{wire.port}/{make_url(database).database}"
            said = {"RELEVO_DATABASE_URL": address, "RELEVO_PROCESSES": processes, variable: str(port)}
            status, _, err = await run(role, environ=settings(**said))

    told = [line for line in err.splitlines() if line.startswith("relevo: ")]
    assert status == 1
    assert set(told) == {
        f"relevo: Port {port} of 127.0.0.1 is in use by another process: set {variable} to another one."
    }
    assert "Traceback" not in err


async def test_a_server_that_is_told_to_leave_ends_the_tails_that_would_hold_it_up(database: str) -> None:
    configured = Settings.from_environment(settings(RELEVO_DATABASE_URL=database))
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        health = Health(registry=telemetry.registry)
        async with (
            open_services(configured, DatabaseUrls.without_pooler(database), telemetry, health) as services,
            services.attempt_news.follow(ApplicationId("app_1")) as follower,
        ):
            health.draining()
            async with asyncio.timeout(patient(10)):
                heard = await follower.next()

    assert heard is None


def socket_of(database: str) -> str:
    """The path of the Unix socket of the tests' PostgreSQL."""
    query = make_url(database).query
    return f"{query['host']}/.s.PGSQL.{query['port']}"


def bearer() -> dict[str, str]:
    token = Tokens(SECRET).mint(DEFAULT_ORGANISATION, now=datetime.now(UTC))
    return {"authorization": f"Bearer {token}"}


async def begin(caller: Caller, environ: Mapping[str, str]) -> None:
    """A message, of which the last part is missing; the server has the rest when it asks for that."""
    head = (
        b"POST /api/v1/app/a/msg HTTP/1.1\r\nhost: relevo.test\r\nexpect: 100-continue\r\n"
        b"authorization: %b\r\ncontent-length: %d\r\n\r\n"
    )
    await caller.send(head % (bearer()["authorization"].encode(), len(BODY)))
    assert (await caller.head_only()).startswith(b"HTTP/1.1 100 ")
    await caller.send(BODY[:10])


async def is_let_in(environ: Mapping[str, str]) -> bool:
    """Whether somebody new still is."""
    try:
        async with calling(int(environ["RELEVO_PORT"])):
            return True
    except ConnectionError:
        return False
