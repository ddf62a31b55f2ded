"""The live tail over a WebSocket, on real sockets and with the client that programs use: who may follow, and until
when."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.adapters.postgres.queue.attempt_news import NEWS, PostgresAttemptNews
from service.adapters.postgres.server.database import Database, dsn
from service.api.routes.sockets import SUBPROTOCOL, TOKEN_TIMEOUT_S
from service.api.services import Services
from service.api.sockets import CHECK_INTERVAL_S
from service.application.tails import HEARTBEAT_INTERVAL_S
from service.domain.deliveries import Status
from service.domain.ids import OrgId
from tests.api.conftest import TOKENS
from tests.api.followers import WITHIN, PatientSocket, an_attempt, closed, following, heard, refusal, token_of
from tests.api.served import served
from tests.api.test_streams import app_id_of, tailing
from tests.support.patience import unhurried
from tests.support.processes import environment

NEIGHBOURS = OrgId("org_000000000000000000000000002")
MANUAL = Path(__file__).parents[2] / "service/api/README.md"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with served(app, websockets=PatientSocket) as client:
        yield client


@pytest.mark.usefixtures("application")
async def test_attempts_of_every_process_are_told_as_the_event_stream_tells_them(
    api: AsyncClient, database: str, postgres: Database
) -> None:
    app_id = await app_id_of(api)
    other = PostgresAttemptNews(dsn(database))

    async with other.running(), tailing(api) as events, following(api) as program:
        first = await heard(program)
        attempt_id = await an_attempt(postgres, app_id)
        second = await heard(program)
        as_event = await anext(events)

    assert first == ("ready", {})
    assert second == ("attempt", as_event.data)
    assert second[1]["id"] == attempt_id


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("way", ["header", "subprotocol", "first message"])
async def test_the_token_comes_by_header_beside_the_subprotocol_or_as_the_first_message(
    api: AsyncClient, way: str
) -> None:
    headers = {"authorization": f"Bearer {token_of(api)}"} if way == "header" else {}

    async with following(api, bare=way != "subprotocol", additional_headers=headers) as program:
        if way == "first message":
            await program.send(json.dumps({"token": token_of(api)}))
        first = await heard(program)

    assert (program.subprotocol, first) == (SUBPROTOCOL, ("ready", {}))


@pytest.mark.usefixtures("application")
async def test_a_wrong_token_another_tenant_and_an_odd_filter_are_refused_before_the_handshake(
    api: AsyncClient,
) -> None:
    neighbour = TOKENS.mint(NEIGHBOURS, now=datetime.now(UTC))
    (await api.post("/app", json={"name": "another", "uid": "v"})).raise_for_status()
    portal = (await api.post("/auth/app-portal-access/v", json={})).json()["token"]

    wrong = await refusal(api, token="nobodys")
    basic = await refusal(api, bare=True, additional_headers={"authorization": "Basic YTpi"})
    others = await refusal(api, token=neighbour)
    unknown = await refusal(api, app="nobody")
    nul = await refusal(api, app="%00")
    of_another_application = await refusal(api, token=portal)
    odd = await refusal(api, query="?status=9")
    of_no_name = await refusal(api, query="?event_types=a%20b")

    assert (wrong[0], wrong[1]["code"]) == (401, "authentication_failed")
    assert basic[0] == 401
    assert (others[0], others[1]) == (unknown[0], unknown[1]) == (404, unknown[1])
    assert (nul[0], of_another_application[0]) == (404, 404)
    assert (odd[0], odd[1]["detail"][0]["loc"]) == (422, ["query", "status"])
    assert (of_no_name[0], of_no_name[1]["detail"][0]["loc"]) == (422, ["query", "event_types"])


@pytest.mark.usefixtures("application")
async def test_parameters_that_are_not_known_are_told_with_the_handshake_and_with_a_refusal(api: AsyncClient) -> None:
    async with following(api, query="?event_types[0]=a&event_typ=a") as program:
        assert program.response is not None
        told = program.response.headers["relevo-ignored"]
    with pytest.raises(InvalidStatus) as refused:
        async with following(api, query="?status=9&since=1"):
            pass

    assert told == "event_typ"
    assert refused.value.response.headers["relevo-ignored"] == "since"


@pytest.mark.usefixtures("application")
async def test_a_token_in_the_url_is_no_token(api: AsyncClient) -> None:
    query = f"?token={token_of(api)}&access_token={token_of(api)}&authorization=Bearer%20{token_of(api)}"
    began = asyncio.get_running_loop().time()

    async with following(api, bare=True, query=query) as program:
        code = await closed(program)

    assert code == 4401
    assert asyncio.get_running_loop().time() - began >= TOKEN_TIMEOUT_S


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("said", ["nonsense", "[]", "{}", '{"token": 1}', '{"token": "nobodys"}', b"\xff"])
async def test_a_first_message_without_a_valid_token_ends_the_connection(api: AsyncClient, said: str | bytes) -> None:
    async with following(api, bare=True) as program:
        await program.send(said)
        code = await closed(program)

    assert code == 4401


@pytest.mark.usefixtures("application")
async def test_a_first_message_with_another_tenants_token_is_told_that_there_is_nothing(api: AsyncClient) -> None:
    async with following(api, bare=True) as program:
        await program.send(json.dumps({"token": TOKENS.mint(NEIGHBOURS, now=datetime.now(UTC))}))
        code = await closed(program)

    assert code == 4404


@pytest.mark.usefixtures("application")
async def test_what_was_missed_is_told_as_a_gap(api: AsyncClient, postgres: Database) -> None:
    app_id = await app_id_of(api)

    async with following(api) as program:
        await heard(program)
        await postgres.pool.execute("SELECT pg_notify($1, $2)", NEWS, f"{app_id} missed 3")
        gap = await heard(program)

    assert gap == ("gap", {"missed": 3})


@pytest.mark.usefixtures("application")
async def test_only_what_the_filters_want_is_told_here_and_on_the_event_stream(
    api: AsyncClient, postgres: Database
) -> None:
    app_id = await app_id_of(api)

    async with (
        api.stream("GET", "/app/u/attempt/tail", params={"event_types": "a,b", "status": "2"}) as events,
        following(api, query="?event_types=a,b&status=2") as program,
    ):
        lines = events.aiter_lines()
        assert [await anext(lines), await heard(program)] == ["event: ready", ("ready", {})]
        await an_attempt(postgres, app_id, event_type="c", status=Status.FAIL)
        await an_attempt(postgres, app_id, event_type="a", status=Status.SUCCESS)
        wanted = await an_attempt(postgres, app_id, event_type="b", status=Status.FAIL)
        told = await heard(program)
        as_event = [line async for line in _until(lines, f"id: {wanted}")]

    assert (told[0], told[1]["id"]) == ("attempt", wanted)
    assert not [line for line in as_event if line.startswith("id:") and line != f"id: {wanted}"]


async def _until(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    async with asyncio.timeout(WITHIN):
        async for line in lines:
            yield line
            if line == last:
                return


@pytest.mark.usefixtures("application")
async def test_a_token_that_is_revoked_meanwhile_closes_the_connection(api: AsyncClient) -> None:
    token = (await api.post("/auth/app-portal-access/u", json={})).json()["token"]

    async with following(api, token=token) as program:
        await heard(program)
        await api.post("/auth/logout", headers={"authorization": f"Bearer {token}"})
        began = asyncio.get_running_loop().time()
        code = await closed(program)
        took = asyncio.get_running_loop().time() - began

    assert code == 4401
    assert took < min(unhurried(CHECK_INTERVAL_S + 2), HEARTBEAT_INTERVAL_S - 1), "it does not wait for the next word"


@pytest.mark.usefixtures("application")
async def test_nothing_is_told_once_the_token_is_revoked(api: AsyncClient, postgres: Database) -> None:
    token = (await api.post("/auth/app-portal-access/u", json={})).json()["token"]
    app_id = await app_id_of(api)

    async with following(api, token=token) as program:
        await heard(program)
        await api.post("/auth/logout", headers={"authorization": f"Bearer {token}"})
        await an_attempt(postgres, app_id)
        async with asyncio.timeout(WITHIN):
            with pytest.raises(ConnectionClosed):
                await program.recv()


@pytest.mark.usefixtures("application")
async def test_a_drain_closes_it_at_once(api: AsyncClient, services: Services) -> None:
    async with following(api) as program:
        await heard(program)
        services.attempt_news.end()  # type: ignore[attr-defined] # the runtime's, not the API's
        code = await closed(program)

    assert code == 1001


@pytest.mark.usefixtures("application")
async def test_the_manuals_program_prints_what_it_is_told_and_ends_with_its_token(
    api: AsyncClient, postgres: Database, tmp_path: Path
) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "follow.py"
    path.write_text(program.replace("localhost:8000", f"127.0.0.1:{api.base_url.port}").replace("customer-1", "u"))
    token = (await api.post("/auth/app-portal-access/u", json={})).json()["token"]
    app_id = await app_id_of(api)

    running = await create_subprocess_exec(
        sys.executable, path, env=environment({"RELEVO_TOKEN": token}), stdout=PIPE, stderr=PIPE
    )
    assert running.stdout is not None
    async with asyncio.timeout(WITHIN):
        first = await running.stdout.readline()
        attempt_id = await an_attempt(postgres, app_id)
        second = await running.stdout.readline()
        await api.post("/auth/logout", headers={"authorization": f"Bearer {token}"})
        _, complaint = await running.communicate()

    assert first == b"ready {}\n"
    assert second.startswith(b"attempt {'id': '%s'" % attempt_id.encode())
    assert b"4401" in complaint
