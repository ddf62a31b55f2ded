"""Several databases: each tenant's own is chosen, and one that is away takes nobody but its tenants with it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import Engine, event, make_url

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.server import schema, tables
from service.adapters.postgres.server.database import open_database
from service.observability.telemetry import open_telemetry
from tests.api.tenancy import touches
from tests.api.walking import ENDLESS, one_of_each, operations
from tests.faults.database import open_fragile_database
from tests.observability.whole import Whole, running_whole
from tests.support import postgres
from tests.support.databases import asking, bearer, column, homes, named
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, run, running, settings
from tests.support.processes import asking as of_server
from tests.support.receiver import Receiver

PAUSE = 0.02  # seconds between two requests of a sender
SITE = "http://localhost:8000"
OWE_ALL_AGAIN = """
    INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
    SELECT e.id, m.id, m.org_id, m.app_id, now() FROM message m JOIN endpoint e USING (app_id)
"""

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def over(**said: str) -> AsyncIterator[Whole]:
    """All of Relevo with these settings."""
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        running_whole(telemetry, database="", **said) as whole,
    ):
        yield whole


async def made(api: AsyncClient, org_id: str, url: str | None = None) -> str:
    """The id of an organisation's new application, with an endpoint at `url`."""
    headers = bearer(org_id)
    answer = await api.post("/api/v1/app", json={"name": org_id}, headers=headers)
    answer.raise_for_status()
    app_id = str(answer.json()["id"])
    if url is not None:
        (await api.post(f"/api/v1/app/{app_id}/endpoint", json={"url": url}, headers=headers)).raise_for_status()
    return app_id


@dataclass(slots=True, kw_only=True)
class Tenant:
    """An organisation with an application and an endpoint, and what became of what it has sent."""

    api: AsyncClient
    org_id: str
    app_id: str
    accepted: list[str] = field(default_factory=list)
    refused: list[Response] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def at(self, whole: Whole) -> "Tenant":
        """The same at another server."""
        return replace(self, api=whole.api)

    async def send(self) -> Response:
        """The answer to one more message."""
        answer = await self.api.post(
            f"/api/v1/app/{self.app_id}/msg", json={"eventType": "a.b", "payload": {}}, headers=bearer(self.org_id)
        )
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
        else:
            self.refused.append(answer)
        async with self._changed:
            self._changed.notify_all()
        return answer

    async def progress(self, count: int) -> None:
        """Wait until so many more were accepted."""
        wanted = len(self.accepted) + count
        await self._until(lambda: len(self.accepted) >= wanted)

    async def refusals(self, count: int) -> None:
        """Wait until so many were refused."""
        await self._until(lambda: len(self.refused) >= count)

    async def all_delivered(self, receiver: Receiver) -> None:
        """Wait until everything that was accepted has arrived."""
        path = f"/ok/{self.org_id}"
        async with asyncio.timeout(patient(60)):
            while not {call.header("webhook-id") for call in receiver.at(path)} >= set(self.accepted):
                await receiver.wait_for(len(receiver.at(path)) + 1, path, within=patient(60))

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(patient(60)), self._changed:
            await self._changed.wait_for(holds)


async def tenant(whole: Whole, org_id: str, receiver: Receiver) -> Tenant:
    """An organisation, whose endpoint is at the receiver."""
    app_id = await made(whole.api, org_id, f"{receiver.url}/ok/{org_id}")
    return Tenant(api=whole.api, org_id=org_id, app_id=app_id)


@asynccontextmanager
async def sending(one: Tenant) -> AsyncIterator[None]:
    """Its messages, one after the other, while the block lasts."""
    ended = asyncio.Event()

    async def send() -> None:
        while not ended.is_set():
            await one.send()
            await asyncio.sleep(PAUSE)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        ended.set()
        await task


async def until_status(ask: Callable[[], Awaitable[Response]], status: int) -> list[int]:
    """The statuses of the answers, up to the first that is wanted."""
    statuses: list[int] = []
    async with asyncio.timeout(patient(60)):
        while status not in statuses:
            statuses.append((await ask()).status_code)
            await asyncio.sleep(PAUSE)
    return statuses


@contextmanager
def statements_by_database() -> Iterator[set[tuple[str | None, str]]]:
    """The statements of all sessions while the block lasts, each with the name that its database has."""
    heard: set[tuple[str | None, str]] = set()

    def hear(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.add((connection.engine.url.database, statement))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


async def rows_of(url: str, org_id: str) -> set[str]:
    """The tables that have something of the organisation's."""
    owned = [name for name, table in tables.metadata.tables.items() if "org_id" in table.c]
    async with asking(url) as connection:
        return {
            name
            for name in owned
            if await connection.fetchval(f'SELECT EXISTS (SELECT FROM "{name}" WHERE org_id = $1)', org_id)
        }


def _name(url: str) -> str | None:
    return make_url(url).database


async def told_to_be_down(whole: Whole, name: str) -> Response:
    """The answer of the probe once it says that the database does not answer."""
    async with asyncio.timeout(patient(30)):
        while True:
            ready = await whole.api.get("/readyz?verbose")
            if re.search(rf"{name} (?!answers)", ready.json()["checks"]["database"]["detail"]):
                return ready
            await asyncio.sleep(PAUSE)


async def test_new_organisations_live_where_the_fewest_do_and_all_that_is_theirs_is_there(
    database: str, other: str, receiver: Receiver
) -> None:
    orgs = [f"org_{letter}" for letter in "abcd"]
    async with over(**named(eu_1=database, eu_2=other)) as whole:
        for org_id in orgs:
            app_id = await made(whole.api, org_id, f"{receiver.url}/ok/{org_id}")
            sent = await whole.api.post(
                f"/api/v1/app/{app_id}/msg", json={"eventType": "a.b", "payload": {}}, headers=bearer(org_id)
            )
            assert sent.status_code == 202
        await receiver.wait_for(len(orgs))

    assert await homes(database) == {"org_a": "eu-1", "org_b": "eu-2", "org_c": "eu-1", "org_d": "eu-2"}
    for table in ("application", "endpoint", "message", "audit_event", "organisation"):
        query = f"SELECT DISTINCT org_id FROM {table} ORDER BY 1"
        assert (await column(database, query), await column(other, query)) == (["org_a", "org_c"], ["org_b", "org_d"])


async def test_an_organisation_from_the_time_of_one_database_stays_where_its_things_are(
    database: str, other: str
) -> None:
    async with over(RELEVO_DATABASES=json.dumps({"eu-1": database})) as whole:
        await made(whole.api, "org_old")
    async with over(**named(eu_1=database, eu_2=other)) as whole:
        await made(whole.api, "org_new")  # to eu-1, the first of two where nobody lives
        found = await whole.api.get("/api/v1/app", headers=bearer("org_old"))

    assert [app["name"] for app in found.json()["data"]] == ["org_old"]
    assert await homes(database) == {"org_new": "eu-1", "org_old": "eu-1"}


async def test_an_organisation_can_be_placed_by_name_before_it_comes(database: str, other: str) -> None:
    environ = settings(**named(eu_1=database, eu_2=other))
    placed = await run("tenants", "place", "org_x", "eu-2", environ=environ)
    async with over(**named(eu_1=database, eu_2=other)) as whole:
        await made(whole.api, "org_x")
    listed = await run("tenants", "list", environ=environ)
    again = await run("tenants", "place", "org_x", "eu-1", environ=environ)
    nowhere = await run("tenants", "place", "org_x", "eu-3", environ=environ)
    nobody = await run("tenants", "place", "x", "eu-1", environ=environ)
    single = await run("tenants", "list", environ=settings(RELEVO_DATABASE_URL=database))

    assert placed == (0, "org_x lives in eu-2.\n", "")
    assert await column(other, "SELECT org_id FROM application") == ["org_x"]
    assert re.fullmatch(r"org_x\teu-2\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", listed[1])
    assert again[::2] == (2, "relevo: org_x lives in eu-2, and stays there.\n")
    assert nowhere[::2] == (2, "relevo: 'eu-3' is not a database of RELEVO_DATABASES, which are eu-1, eu-2.\n")
    assert (nobody[0], single[0]) == (2, 2)
    assert "RELEVO_DATABASES" in single[2]


async def test_a_named_token_is_listed_where_its_organisation_lives(database: str, other: str) -> None:
    environ = settings(**named(eu_1=database, eu_2=other))
    await run("tenants", "place", "org_x", "eu-2", environ=environ)

    status, _, err = await run("token", "org_x", "--name", "ci", environ=environ)

    assert (status, err) == (0, "")
    assert await column(other, "SELECT org_id FROM organisation_token") == ["org_x"]
    assert await column(database, "SELECT org_id FROM organisation_token") == []


async def test_what_was_changed_is_told_and_who_missed_it_is_refused_by_the_row(database: str, other: str) -> None:
    async with over(**named(eu_1=database, eu_2=other)) as whole:
        headers = bearer("org_x")
        app_id = await made(whole.api, "org_x")
        message = partial(
            whole.api.post, f"/api/v1/app/{app_id}/msg", json={"eventType": "a.b", "payload": {}}, headers=headers
        )
        async with asking(database) as home, asking(other) as there:
            await home.execute("UPDATE organisation SET residence = 'stopped'")
            stopped = [await message(), await whole.api.get("/api/v1/app", headers=headers)]
            await home.execute("ALTER TABLE organisation_home DISABLE TRIGGER tell_of_home")
            await home.execute("UPDATE organisation_home SET database = 'eu-2'")
            await there.execute("INSERT INTO organisation (org_id) VALUES ('org_x')")
            moved = await whole.api.get("/api/v1/app", headers=headers)
            await there.execute("UPDATE organisation SET residence = 'gone'")
            await home.execute("UPDATE organisation SET residence = 'here'")
            await home.execute("ALTER TABLE organisation_home ENABLE TRIGGER tell_of_home")
            await home.execute("UPDATE organisation_home SET database = 'eu-1'")
            answers = await until_status(partial(message), 202)

    assert [answer.status_code for answer in stopped] == [503, 503]
    assert all(answer.headers["retry-after"] == "1" for answer in stopped)
    assert "moving" in stopped[0].json()["detail"]
    assert moved.json()["data"] == []
    assert set(answers) <= {503, 202}
    assert await column(other, "SELECT id FROM message") == []


async def test_one_that_is_killed_takes_its_tenants_with_it_and_nobody_else(
    database: str, receiver: Receiver, directory: Path
) -> None:
    async with open_fragile_database(directory) as fragile:
        setting = named(eu_1=database, eu_2=fragile.url)
        async with over(**setting) as whole:
            here = await tenant(whole, "org_here", receiver)
            there = await tenant(whole, "org_there", receiver)
            async with sending(here), sending(there):
                await there.progress(20)
                fragile.kill()
                await there.refusals(20)
                await here.progress(50)
                ready = await told_to_be_down(whole, "eu-2")
                metrics = await whole.api.get("/metrics")
                await fragile.start()
                await there.progress(20)
            for one in (here, there):
                await one.all_delivered(receiver)

    assert await homes(database) == {"org_here": "eu-1", "org_there": "eu-2"}
    assert (len(here.accepted) > 50, here.refused) == (True, [])
    assert {answer.status_code for answer in there.refused} == {503}
    assert all(answer.headers["retry-after"].isdecimal() for answer in there.refused)
    assert ready.status_code == 200
    assert 'relevo_database_up{database="eu-2"} 0.0' in metrics.text
    assert 'relevo_database_up{database="eu-1"} 1.0' in metrics.text


async def test_without_home_whoever_is_known_goes_on(other: str, receiver: Receiver, directory: Path) -> None:
    async with open_fragile_database(directory) as fragile, over(**named(eu_1=fragile.url, eu_2=other)) as whole:
        at_home = await tenant(whole, "org_home", receiver)
        known = await tenant(whole, "org_known", receiver)
        portal = await whole.api.post(
            f"/api/v1/auth/app-portal-access/{known.app_id}", json={}, headers=bearer("org_known")
        )
        fragile.kill()
        gone = await at_home.send()
        went_on = [(await known.send()).status_code for _ in range(20)]
        new = await whole.api.get("/api/v1/app", headers=bearer("org_new"))
        log_out = await whole.api.post(
            "/api/v1/auth/logout", headers={"authorization": f"Bearer {portal.json()['token']}"}
        )
        await fragile.start()
        statuses = await until_status(partial(whole.api.get, "/api/v1/app", headers=bearer("org_new")), 200)
        await until_status(at_home.send, 202)
        await known.all_delivered(receiver)

    assert [gone.status_code, new.status_code, log_out.status_code] == [503, 503, 503]
    assert went_on == [202] * 20
    assert set(statuses) <= {503, 200}


async def test_one_that_is_down_at_the_start_is_served_once_it_is_back(
    database: str, receiver: Receiver, directory: Path
) -> None:
    async with open_fragile_database(directory) as fragile:
        setting = named(eu_1=database, eu_2=fragile.url)
        async with over(**setting) as whole:
            there = None
            for org_id in ("org_a", "org_b"):
                there = await tenant(whole, org_id, receiver)
        assert there is not None
        fragile.wire.cut()
        async with over(**setting) as whole:
            there = there.at(whole)
            cut = await there.send()
            served = await whole.api.get("/api/v1/app", headers=bearer("org_a"))
            ready = await whole.api.get("/readyz")
            fragile.wire.mend()
            await until_status(there.send, 202)
            await there.all_delivered(receiver)

    assert (cut.status_code, served.status_code, ready.status_code) == (503, 200, 200)
    assert len(served.json()["data"]) == 1


async def test_a_server_says_whom_it_cannot_reach_serves_the_others_and_leaves_when_told(
    database: str, directory: Path
) -> None:
    setting = settings(**named(eu_1=database, eu_2="postgresql://h@127.0.0.1:1/relevo"))
    none = settings(**named(eu_1="postgresql://h@127.0.0.1:1/relevo", eu_2="postgresql://h@127.0.0.1:1/other"))
    log = directory / "log"
    server = RelevoProcess("serve", setting, log)

    async with running(server):
        async with of_server(f"http://127.0.0.1:{setting['RELEVO_PORT']}") as api:
            served = await api.get("/api/v1/app", headers=bearer("org_x"))
        status = await server.stop()
    refused = await run("serve", environ=none)

    assert (served.status_code, status, server.errors()) == (200, 0, [])
    assert "relevo: eu-2: The database cannot be reached: " in log.read_text()
    assert refused[:2] == (1, "")
    assert refused[2].startswith("relevo: eu-1: The database cannot be reached: ")


async def test_each_of_several_processes_serves_all_of_them(
    database: str, other: str, receiver: Receiver, directory: Path
) -> None:
    setting = settings(**named(eu_1=database, eu_2=other), RELEVO_PROCESSES="2")
    server = RelevoProcess("serve", setting, directory / "log")

    async with running(server), of_server(f"http://127.0.0.1:{setting['RELEVO_PORT']}") as api:
        tenants = [
            Tenant(api=api, org_id=org_id, app_id=await made(api, org_id, f"{receiver.url}/ok/{org_id}"))
            for org_id in ("org_here", "org_there")
        ]
        for one in tenants:
            # On connections of their own, so that both processes get some.
            for _ in range(10):
                async with of_server(str(api.base_url)) as fresh:
                    await replace(one, api=fresh).send()
            await one.all_delivered(receiver)
        metrics = (await api.get("/metrics")).text
        status = await server.stop()

    assert [(len(one.accepted), one.refused) for one in tenants] == [(10, []), (10, [])]
    assert await homes(database) == {"org_here": "eu-1", "org_there": "eu-2"}
    assert 'relevo_database_up{database="eu-2"} 1.0' in metrics
    assert status == 0


async def test_one_that_hangs_keeps_nobody_else_waiting(database: str, receiver: Receiver, directory: Path) -> None:
    async with (
        open_fragile_database(directory) as fragile,
        over(**named(eu_1=database, eu_2=fragile.url)) as whole,
    ):
        here = await tenant(whole, "org_here", receiver)
        there = await tenant(whole, "org_there", receiver)
        fragile.wire.swallow()
        waiting = asyncio.create_task(there.send())
        await fragile.wire.muted()
        went_on = [(await here.send()).status_code for _ in range(20)]
        still_waiting = not waiting.done()
        await told_to_be_down(whole, "eu-2")
        # Each would take what the first one took, until its connection is given up.
        async with asyncio.timeout(patient(10)):
            refused = [(await there.send()).status_code for _ in range(20)]
        fragile.wire.mend()
        answer = await waiting
        await until_status(there.send, 202)
        for one in (here, there):
            await one.all_delivered(receiver)

    assert (went_on, still_waiting) == ([202] * 20, True)
    assert refused == [503] * 20, "one that is known to be dead is not waited for"
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_the_console_shows_each_organisation_its_own_and_a_made_up_session_nothing(
    database: str, other: str
) -> None:
    async with over(**named(eu_1=database, eu_2=other)) as whole:
        apps = [await made(whole.api, org_id) for org_id in ("org_here", "org_there")]
        transport = ASGITransport(app=whole.app, raise_app_exceptions=False)
        pages = []
        for org_id in ("org_here", "org_there"):
            token = bearer(org_id)["authorization"].removeprefix("Bearer ")
            async with AsyncClient(transport=transport, base_url=SITE) as browser:
                signed_in = await browser.post("/console/sign-in", data={"token": token}, headers={"origin": SITE})
                assert signed_in.status_code == 303
                pages.append((await browser.get("/console/apps")).text)
        async with AsyncClient(
            transport=transport, base_url=SITE, cookies={"relevo": f"org_nobody.{'0' * 64}"}
        ) as liar:
            refused = await liar.get("/console/apps")

    assert [[app in page for app in apps] for page in pages] == [[True, False], [False, True]]
    assert refused.status_code == 303
    assert await homes(database) == {"org_here": "eu-1", "org_there": "eu-2"}
    assert await column(other, "SELECT org_id FROM console_session") == ["org_there"]


async def test_a_token_that_ends_is_ended_at_home_whose_ever_it_is(database: str, other: str) -> None:
    async with over(**named(eu_1=database, eu_2=other)) as whole:
        await made(whole.api, "org_here")
        app_id = await made(whole.api, "org_there")
        portal = await whole.api.post(f"/api/v1/auth/app-portal-access/{app_id}", json={}, headers=bearer("org_there"))
        token = {"authorization": f"Bearer {portal.json()['token']}"}
        path = f"/api/v1/app/{app_id}/endpoint"
        before = await whole.api.get(path, headers=token)
        ended = await whole.api.post("/api/v1/auth/logout", headers=token)
        after = await whole.api.get(path, headers=token)

    assert (before.status_code, ended.status_code, after.status_code) == (200, 204, 401)
    assert await column(database, "SELECT org_id FROM revocation") == ["org_there"]
    assert await column(other, "SELECT org_id FROM revocation") == []


async def test_each_is_migrated_in_turn_and_a_run_that_stopped_is_gone_on_with(
    postgres_server: EmbeddedServer,
) -> None:
    async with (
        postgres.fresh_database(postgres_server, template="template0") as first,
        postgres.fresh_database(postgres_server, template="template0") as last,
    ):
        environ = settings(**named(eu_1=first, eu_2="postgresql://h@127.0.0.1:1/relevo", eu_3=last))
        stopped = await run("migrate", environ=environ)
        unfit = await run("serve", environ=environ)
        went_on = await run("migrate", environ=settings(**named(eu_1=first, eu_3=last)))
        again = await run("reencrypt", environ=settings(**named(eu_1=first, eu_3=last)))

    assert stopped[:2] == (1, f"The database eu-1 has schema {schema.head()}.\n")
    assert stopped[2].startswith("relevo: eu-2: The database cannot be reached: ")
    assert unfit[0] == 2
    assert unfit[2].startswith("relevo: eu-3: The database has no schema yet")
    done = [f"The database {name} has schema {schema.head()}.\n" for name in ("eu-1", "eu-3")]
    assert went_on[:2] == (0, "".join(done))
    assert again[:2] == (0, "0 values were encrypted anew with the first key.\n")


async def test_a_worker_delivers_for_all_or_for_those_that_it_was_told(
    database: str, other: str, receiver: Receiver, directory: Path
) -> None:
    setting = named(eu_1=database, eu_2=other)
    async with over(**setting, RELEVO_SERVES="eu-1") as whole:
        ours = await tenant(whole, "org_ours", receiver)
        foreign = await whole.api.get("/api/v1/app", headers=bearer("org_placed"))
        await run("tenants", "place", "org_theirs", "eu-2", environ=settings(**setting))
        theirs = await whole.api.get("/api/v1/app", headers=bearer("org_theirs"))
        await ours.send()
        await ours.all_delivered(receiver)
    async with over(**setting, RELEVO_CONCURRENCY="2") as whole:
        them = await tenant(whole, "org_theirs", receiver)
        await them.send()
        await them.all_delivered(receiver)
    for url in (database, other):
        async with asking(url) as connection:
            await connection.execute(OWE_ALL_AGAIN)
    worker = RelevoProcess("worker", settings(**setting, RELEVO_SERVES="eu-2"), directory / "log")
    async with running(worker):
        await receiver.wait_for(2, "/ok/org_theirs")
        assert await column(database, "SELECT org_id FROM pending_delivery") == ["org_ours"]

    assert (foreign.status_code, theirs.status_code) == (200, 503)
    assert await homes(database) == {"org_ours": "eu-1", "org_placed": "eu-1", "org_theirs": "eu-2"}


async def test_no_statement_goes_to_a_database_that_is_not_the_tenants(database: str, other: str) -> None:
    with statements_by_database() as heard:
        async with over(**named(eu_1=database, eu_2=other)) as whole, open_database(other) as opened:
            await made(whole.api, "org_at_home")
            whole.api.base_url = "http://relevo.test/api/v1"
            things = await one_of_each(whole.api, opened)
            heard.clear()
            for operation in operations(whole.app, last="DELETE"):
                if operation.name not in ENDLESS:
                    answer = await operation.ask(whole.api, things)
                    assert answer.status_code < 500, f"{operation.name}: {answer.text}"

    strangers = {statement for name, statement in heard if name != _name(other)}
    assert len({statement for name, statement in heard if name == _name(other) and touches(statement)}) > 30
    assert {table for statement in strangers for table in touches(statement)} == {"revocation"}
    # What the hot paths do is seen by what they leave.
    assert await rows_of(database, ORG) == {"organisation_home", "revocation"}
    assert {"message", "organisation", "audit_event", "source", "background_task"} <= await rows_of(other, ORG)
    assert await rows_of(other, "org_at_home") == set()
