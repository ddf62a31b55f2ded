"""Tokens that were ended at one process hold at no other, a moment later."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from service.observability.telemetry import open_telemetry
from tests.faults.wire import open_wire
from tests.observability.whole import Whole, running_whole
from tests.support.databases import named
from tests.support.patience import patient
from tests.support.processes import SECRET, RelevoProcess, asking, running, settings

WITHIN = patient(20)  # seconds; a second is what it takes
QUIET = {"OTEL_SDK_DISABLED": "true", "RELEVO_LOG_LEVEL": "error"}

pytestmark = pytest.mark.timeout(90)


async def test_what_is_ended_at_one_process_ends_at_the_other(database: str, directory: Path) -> None:
    async with two_processes(database, directory) as (here, there):
        await here.post("/app", json={"name": "a", "uid": "a"})
        left, ended, kept = [await token(here, sessionId=session) for session in ("left", "ended", "kept")]
        held = [await status(there, of) for of in (left, ended, kept)]

        await here.post("/auth/logout", headers=left)
        await here.post("/auth/app/a/expire-all", json={"sessionIds": ["ended"]})
        at_once = [await status(here, of) for of in (left, ended, kept)]
        await until_refused(there, left, ended)
        later = await status(there, kept)
        await there.post("/auth/app/a/expire-all", json={})
        await until_refused(here, kept)
        fresh = await token(here)
        listed = (await here.post("/auth/token", json={"name": "n", "role": "reader"})).json()
        organisation = {"authorization": f"Bearer {listed['token']}"}
        held_of_organisation = await status(there, organisation)
        await here.delete(f"/auth/token/{listed['id']}")
        await until_refused(there, organisation)
        await here.delete("/app/a")
        await here.post("/app", json={"name": "a", "uid": "a"})
        await until_refused(there, fresh)
        fresh = await token(here)

        assert held_of_organisation == 200
        assert held == [200, 200, 200]
        assert at_once == [401, 401, 200]
        assert later == 200
        assert [await status(process, fresh) for process in (here, there)] == [200, 200]


def test_what_is_ended_elsewhere_is_known_after_a_second(database: str) -> None:
    async def end_one_each_second() -> None:
        clock = asyncio.get_running_loop()
        assert isinstance(clock, HeldClock)
        async with two_servers(database) as (here, there):
            await here.made("/app", {"name": "a", "uid": "a"})
            for number in range(3):
                bearer = await token(here.api, sessionId=str(number), path="/api/v1")
                assert await status(there.api, bearer, path="/api/v1") == 200
                await here.api.post("/api/v1/auth/app/a/expire-all", json={"sessionIds": [str(number)]})
                clock.move(1.001)
                await until_refused(there.api, bearer, path="/api/v1")

    with asyncio.Runner(loop_factory=HeldClock) as runner:
        runner.run(end_one_each_second())


async def test_a_server_that_begins_without_home_is_not_ready_before_it_knows_them(database: str, other: str) -> None:
    url = make_url(database)
    async with (
        open_wire(lambda: f"{url.query['host']}/.s.PGSQL.{url.query['port']}") as wire,
        open_telemetry(role="test", version="0", environ={}) as telemetry,
    ):
        home = f"postgresql://postgres@127.0.0.1:{wire.port}/{url.database}"
        wire.cut()
        async with running_whole(telemetry, database="", **named(eu_1=home, eu_2=other)) as whole:
            before = await whole.api.get("/readyz?verbose")
            wire.mend()
            async with asyncio.timeout(WITHIN):
                while (await whole.api.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - it is looked at
                    await asyncio.sleep(0.02)

    assert before.status_code == 503
    assert [name for name, found in before.json()["checks"].items() if not found["ok"]] == ["revocations"]


class HeldClock(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until it is moved: nothing that waits for its hour comes by itself."""

    def __init__(self) -> None:
        self._now = time.monotonic()
        super().__init__()

    def time(self) -> float:
        return self._now

    def move(self, seconds: float) -> None:
        self._now += seconds


@asynccontextmanager
async def two_servers(database: str) -> AsyncIterator[list[Whole]]:
    """Two servers on one database, in this process."""
    async with AsyncExitStack() as stack:
        servers = []
        for _ in range(2):
            told = open_telemetry(role="test", version="0", environ={"OTEL_SDK_DISABLED": "true"})
            telemetry = await stack.enter_async_context(told)
            servers.append(await stack.enter_async_context(running_whole(telemetry, database=database)))
        yield servers


@asynccontextmanager
async def two_processes(database: str, directory: Path) -> AsyncIterator[list[httpx.AsyncClient]]:
    """An admin's clients of two servers on one database."""
    sites = [settings(RELEVO_DATABASE_URL=database, **QUIET) for _ in range(2)]
    bearer = {"authorization": f"Bearer {Tokens(SECRET).mint(DEFAULT_ORGANISATION, now=datetime.now(UTC))}"}
    servers = [RelevoProcess("serve", site, directory / f"log {number}") for number, site in enumerate(sites)]
    async with running(*servers):
        clients = [asking(f"http://127.0.0.1:{site['RELEVO_PORT']}/api/v1", **bearer) for site in sites]
        async with clients[0], clients[1]:
            yield clients


async def token(client: httpx.AsyncClient, *, path: str = "", **grant: Any) -> dict[str, str]:
    """The headers of somebody with a token of the application."""
    answer = await client.post(f"{path}/auth/app-portal-access/a", json=grant)
    return {"authorization": f"Bearer {answer.json()['token']}"}


async def status(client: httpx.AsyncClient, bearer: dict[str, str], *, path: str = "") -> int:
    return (await client.get(f"{path}/app/a", headers=bearer)).status_code


async def until_refused(client: httpx.AsyncClient, *bearers: dict[str, str], path: str = "") -> None:
    """Ask until none of them is let in."""
    given_up_at = time.monotonic() + WITHIN  # by no loop's clock, which may be held
    while any([await status(client, bearer, path=path) != 401 for bearer in bearers]):
        assert time.monotonic() < given_up_at
