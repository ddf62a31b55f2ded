"""Live tails across processes: a line for each attempt, and a word about each that could not be shown."""

import asyncio
import json
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from svix.api import ApplicationIn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.attempt_news import BUFFERED_IDS, NEWS, NOTIFICATION_IDS
from service.domain import ids
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import RelevoProcess, command, environment, run, running, settings
from tests.support.receiver import Receiver
from tests.system import senders
from tests.system.senders import Customer, Promises

WITHIN = patient(30)  # seconds

pytestmark = pytest.mark.timeout(120)


async def test_a_tail_shows_each_attempt_of_every_process_and_where_its_server_was_gone(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_CONCURRENCY="1")
    server = RelevoProcess("serve", environ, directory / "serve.log")
    worker = RelevoProcess("worker", settings(RELEVO_DATABASE_URL=database), directory / "worker.log")
    first, later = Promises(), Promises()

    async with running(server, worker):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        async with tailing(customer) as tail:
            await senders.send_all(customer, count=100, clients=16, promises=first)
            lines = [await line_of(tail) for _ in range(100)]
            await server.kill()
            await server.start()
            gap = await line_of(tail)
            await senders.send_all(customer, count=110, clients=1, promises=later)
            after = [await line_of(tail) for _ in range(10)]
            tail.send_signal(signal.SIGINT)
            rest, said = await tail.communicate()

    assert sorted(message_of(line) for line in lines) == sorted(first.accepted.values())
    assert worker.events("delivery.attempted"), "another process's attempts were among them"
    assert gap == "--- attempts may be missing here ---\n"
    assert {message_of(line) for line in after} == set(later.accepted.values()) - set(first.accepted.values())
    assert (tail.returncode, rest) == (0, b"")
    assert b"Trying again in" in said
    assert "\x1b" not in "".join([*lines, *after]), "a pipe gets plain text"


async def test_a_client_that_does_not_read_is_told_how_many_attempts_it_missed(database: str, directory: Path) -> None:
    environ = settings(RELEVO_DATABASE_URL=database)
    server = RelevoProcess("serve", environ, directory / "serve.log")
    shown: list[str] = []
    missed, made = 0, BUFFERED_IDS * 5

    async with running(server):
        token = (await run("token", environ=environ))[1].strip()
        url = f"http://127.0.0.1:{environ['RELEVO_PORT']}"
        async with senders.opened(url, token) as sdk:
            application = await sdk.application.create(ApplicationIn(name="A customer"))
        async with hardly_reading(environ, token, application.id) as events:
            assert (await anext(events))[0] == "ready"
            told = await attempts_elsewhere(database, application.id, count=made)
            async with asyncio.timeout(WITHIN):
                while len(shown) + missed < made:
                    name, data = await anext(events)
                    shown += [data["id"]] if name == "attempt" else []
                    missed += data["missed"] if name == "gap" else 0

    assert missed > 0
    assert len(shown) + missed == made
    assert shown == sorted(set(shown))
    assert set(shown) <= set(told)
    assert shown[-BUFFERED_IDS:] == told[-BUFFERED_IDS:], "the latest are kept"


async def test_a_program_follows_over_a_websocket_until_the_server_leaves_and_its_token_is_in_no_log(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_LOG_LEVEL="debug")
    server = RelevoProcess("serve", environ, directory / "serve.log")
    promises, told = Promises(), []

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        url = f"ws://127.0.0.1:{environ['RELEVO_PORT']}/api/v1/app/{customer.app_id}/attempt/tail/ws"
        offered = [Subprotocol("relevo.v1"), Subprotocol(f"relevo.bearer.{customer.token}")]
        async with connect(f"{url}?token={customer.token}", subprotocols=offered, proxy=None) as program:
            async with asyncio.timeout(WITHIN):
                assert json.loads(await program.recv())["type"] == "ready"
                await senders.send_all(customer, count=10, clients=1, promises=promises)
                told = [json.loads(await program.recv())["data"]["msgId"] for _ in range(10)]
                stopped = asyncio.create_task(server.stop())
                with pytest.raises(ConnectionClosed):
                    await program.recv()
        status = await stopped

    assert sorted(told) == sorted(promises.accepted.values())
    assert (program.close_code, status) == (1001, 0)
    assert customer.token not in (directory / "serve.log").read_text()
    (line,) = [each for each in server.events("request.finished") if each["status"] == 101]
    assert (line["route"], line["close_code"]) == ("/api/v1/app/{app_id}/attempt/tail/ws", 1001)


@pytest.mark.parametrize(
    ("environ", "url", "ending"),
    [
        ({}, "http://127.0.0.1:1", (2, "relevo: RELEVO_TOKEN is not set")),
        ({"RELEVO_TOKEN": "a\nb"}, "http://127.0.0.1:1", (2, "relevo: RELEVO_TOKEN has characters that no token has")),
        ({"RELEVO_TOKEN": "t"}, "localhost:8000", (2, "relevo: 'localhost:8000' is no address of a server")),
        ({"RELEVO_TOKEN": "t"}, "http://h:99999", (2, "relevo: 'http://h:99999' is no address of a server")),
        (
            {"RELEVO_TOKEN": "t", "ALL_PROXY": "socks5://127.0.0.1:1"},
            "http://127.0.0.1:1",
            (1, "relevo: The proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"),
        ),
    ],
)
async def test_a_tail_says_what_it_needs(environ: Mapping[str, str], url: str, ending: tuple[int, str]) -> None:
    status, out, err = await run("tail", "app", "--url", url, environ=environ)

    assert (status, out) == (ending[0], "")
    assert err.startswith(ending[1])
    assert err.count("\n") == 1


@asynccontextmanager
async def tailing(customer: Customer) -> AsyncIterator[Process]:
    """`relevo tail` of the customer's attempts, from when it follows."""
    process = await asyncio.create_subprocess_exec(
        *command("tail", customer.app_id, "--url", customer.url),
        env=environment({"RELEVO_TOKEN": customer.token}),
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert await process.stderr.readline() == f"relevo: Following {customer.app_id}.\n".encode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_of(tail: Process) -> str:
    assert tail.stdout is not None
    async with asyncio.timeout(WITHIN):
        return (await tail.stdout.readline()).decode()


def message_of(line: str) -> str:
    return line.split()[-2]


@asynccontextmanager
async def hardly_reading(
    environ: Mapping[str, str], token: str, app_id: str
) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    """The events of a tail. The machine keeps next to nothing for the client while it does not ask for the next."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", int(environ["RELEVO_PORT"])))
        reader, writer = await asyncio.open_connection(sock=client, limit=16_384)
        writer.write(
            f"GET /api/v1/app/{app_id}/attempt/tail HTTP/1.1\r\nHost: relevo.test\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        yield _events(reader)
        writer.transport.abort()


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    while line := await reader.readline():
        field, _, value = line.decode().rstrip().partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def attempts_elsewhere(database: str, app_id: str, *, count: int) -> list[str]:
    """Attempts that another process makes, and tells of as Relevo does; their ids in order."""
    made = sorted(new_id(ids.ATTEMPT) for _ in range(count))
    connection = await asyncpg.connect(asyncpg_dsn(database))
    try:
        await connection.execute(
            "INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,"
            " response_status_code, duration_ms, trigger, number)"
            " SELECT id, '', $1, '', '', 't', '', 0, repeat('x', 2000), 200, 1, 0, 1 FROM unnest($2::text[]) AS id",
            app_id,
            made,
        )
        for start in range(0, count, NOTIFICATION_IDS):
            news = f"{app_id} {' '.join(made[start : start + NOTIFICATION_IDS])}"
            await connection.execute("SELECT pg_notify($1, $2)", NEWS, news)
    finally:
        await connection.close()
    return made
