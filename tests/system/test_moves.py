"""An organisation moves to another database: with all it has, while it is served, and whole whatever is killed."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.moves.belongings import STAYING
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import open_database
from service.commands.tokens import no_organisation
from service.domain.operational_webhooks import OPERATIONS
from tests.api.walking import one_of_each
from tests.observability.whole import Whole
from tests.support import postgres
from tests.support.databases import asking, bearer, column, homes, named
from tests.support.factories import ORG
from tests.support.forks import Fork
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, environment, run, running, settings
from tests.support.processes import asking as of_server
from tests.support.receiver import Receiver
from tests.system.senders import Customer
from tests.system.test_databases import Tenant, made, over, sending, until_status
from tests.system.test_tail import line_of, message_of, tailing

# What the API does not leave behind by one request of each kind.
RARE = """
    INSERT INTO throttle (id, next_at) SELECT id, now() + interval '1 day' FROM application;
    INSERT INTO endpoint_rest (endpoint_id, rests, until) SELECT id, 3, now() + interval '1 day' FROM endpoint
    ON CONFLICT (endpoint_id) DO UPDATE SET until = excluded.until;
    INSERT INTO message_import_fault (import_id, line, code, detail) SELECT id, 7, 'a', 'b' FROM message_import;
    INSERT INTO source_fault (id, source_id, position, code, detail, created_at)
    SELECT 'fault', id, '1', 'a', 'b', now() FROM source;
    INSERT INTO destination_consumer (destination_id, consumer_id, position, updated_at)
    SELECT id, 'reader', 1, now() FROM destination WHERE kind = 'pollingEndpoint';
    INSERT INTO portal_brand (org_id, name, updated_at) SELECT DISTINCT org_id, 'x', now() FROM source;
    INSERT INTO console_session (digest, org_id, role, capabilities, created_at, expires_at)
    SELECT DISTINCT '\\x01'::bytea, org_id, 'admin', '{}'::text[], now(), now() + interval '1 day' FROM source;
"""

POLL = 0.05
AT_REST = """
    SELECT NOT EXISTS (SELECT FROM pending_delivery WHERE due_at < now() + interval '1 hour')
       AND NOT EXISTS (SELECT FROM background_task WHERE due_at < now() + interval '1 hour' AND status = 'running')
       AND NOT EXISTS (SELECT FROM destination WHERE lease IS NOT NULL)
"""
WAITING = """
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
"""
LEFT_OF_A_MOVE = """
    SELECT (SELECT count(*) FROM tenant_move) + (SELECT count(*) FROM tenant_change)
         + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'tenant_change_of%')
"""
HISTORY = """
    WITH stored AS (
        INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)
        SELECT 'msg_' || left(md5(n::text), 27), $1, $2, 'a.b', '{}', now() + interval '1 day', 'x'
        FROM generate_series(1, $3::int) n
        RETURNING *
    ), settled AS (
        INSERT INTO settled_delivery (message_id, endpoint_id, org_id, app_id, status, attempts)
        SELECT m.id, e.id, $1, $2, 0, 1 FROM stored m JOIN endpoint e ON e.app_id = $2
    )
    INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,
                         response_status_code, duration_ms, trigger, number)
    SELECT replace(m.id, 'msg_', 'atmpt_'), $1, $2, m.id, e.id, 'a.b', e.url, 0, '', 200, 1, 0, 1
    FROM stored m JOIN endpoint e ON e.app_id = $2
"""
FORMER = 3000  # messages of the past
OWED = 20
LINES = 10_000  # of half a file
DAY = timedelta(days=1)
LABELLED = {"eventType": "known", "eventId": "e1", "channels": ["c"], "tags": ["t"], "payload": {"n": 1}}
KEY = {"idempotency-key": "k1"}

pytestmark = pytest.mark.timeout(180)


async def everything(url: str) -> Mapping[str, list[str]]:
    """Every row of every table that may have something of an organisation's, as text."""
    async with asking(url) as connection:
        found = {
            name: [row[0] for row in await connection.fetch(f'SELECT t::text FROM "{name}" t ORDER BY 1')]
            for name in tables.metadata.tables
            if name not in STAYING
        }
    # Operational webhooks of all organisations of a database are counted together.
    found["activity_hour"] = [row for row in found["activity_hour"] if not row.startswith(f"({OPERATIONS}")]
    return found


async def until(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until the answer is yes."""
    async with asyncio.timeout(patient(60)):
        while not await ask():  # noqa: ASYNC110 - other processes' doings
            await asyncio.sleep(POLL)


async def at_rest(url: str) -> None:
    """Wait until nothing is due within the hour."""
    async with asking(url) as connection:
        await until(lambda: connection.fetchval(AT_REST))


@asynccontextmanager
async def client(whole: Whole, org_id: str = ORG) -> AsyncIterator[AsyncClient]:
    """A client of the API, by its paths, that is an organisation's admin."""
    transport = ASGITransport(app=whole.app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://relevo.test/api/v1", headers=bearer(org_id)) as api:
        yield api


async def move(setting: Mapping[str, str], *, to: str = "eu-2") -> list[str]:
    """The steps of a move that went well."""
    status, out, err = await run("tenants", "move", ORG, to, environ=settings(**setting))
    assert (status, err) == (0, "")
    *steps, end = out.splitlines()
    assert end == f"{ORG} lives in {to}."
    return [step.removeprefix(f"{ORG}: ") for step in steps]


async def test_all_that_an_organisation_has_moves_and_is_served_there(
    database: str, other: str, receiver: Receiver
) -> None:
    setting = named(eu_1=database, eu_2=other)
    empty = await everything(other)
    async with over(**setting, RELEVO_RETRY_SCHEDULE="[86400]") as whole, client(whole) as api:
        await api.get("/app")
        async with open_database(database) as opened:
            things = await one_of_each(api, opened)
        sent = await api.post("/app/mine/msg", json=LABELLED, headers=KEY)
        made = await api.post("/app", json={"name": "another"}, headers=KEY)
        async with asking(database) as connection:
            await connection.execute(RARE)
        await at_rest(database)
        before = await everything(database)
        polled = await api.get(f"/app/{things['app_id']}/poller/{things['sink_id']}")

        steps = await move(setting)

        after, left = await everything(other), await everything(database)
        again = await api.post("/app/mine/msg", json=LABELLED, headers=KEY)
        made_again = await api.post("/app", json={"name": "another"}, headers=KEY)
        polled_on = await api.get(
            f"/app/{things['app_id']}/poller/{things['sink_id']}", params={"iterator": polled.json()["iterator"]}
        )
        endpoint = f"/app/mine/endpoint/{things['endpoint_id']}"
        await api.patch(endpoint, json={"url": f"{receiver.url}/ok", "disabled": False})
        async with asking(other) as connection:
            await connection.execute("DELETE FROM endpoint_rest")
        resent = await api.post(f"/app/mine/msg/{things['msg_id']}/endpoint/{things['endpoint_id']}/resend")
        await receiver.wait_for(1)

    assert steps == ["copying", "draining", "stopping", "resuming", "removing"]
    assert [name for name, rows in before.items() if not rows] == []
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}
    assert left == empty
    assert await homes(database) == {ORG: "eu-2"}
    assert (again.json()["id"], made_again.json()) == (sent.json()["id"], made.json())
    assert (polled.status_code, polled_on.status_code) == (200, 200)
    assert polled_on.json()["iterator"]
    assert resent.status_code == 202
    assert receiver.calls[0].header("webhook-id") == things["msg_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a move is held up: by a lock in one of the databases, while the journal has that step. Whoever waits for
    the lock is seen there, if the lock `blocks`. `after` is the place
    where it is held up first, because there is nothing to lock before."""

    step: str
    database: str
    lock: str
    blocks: bool = True
    after: str | None = None


ROW_OF_TARGET = "SELECT FROM organisation WHERE org_id = '{org}' AND residence = 'arriving' FOR SHARE"
PENDING = "SELECT FROM pending_delivery LIMIT 1 FOR UPDATE"
# Home, where it lives, and where it moves.
HOME, SOURCE, TARGET = "eu-1", "eu-2", "eu-3"
PLACES = {
    "copying": Place(step="copying", database=TARGET, lock="LOCK TABLE pending_delivery IN SHARE MODE"),
    "draining": Place(step="draining", database=SOURCE, lock=PENDING, blocks=False),
    "stopping": Place(step="stopping", database=SOURCE, lock="SELECT 1", blocks=False),  # any transaction
    "switching": Place(
        step="stopping", database=HOME, lock="SELECT FROM organisation_home WHERE org_id = '{org}' FOR UPDATE"
    ),
    "resuming": Place(step="resuming", database=TARGET, lock=ROW_OF_TARGET, after="draining"),
    "putting back": Place(step="resuming", database=TARGET, lock=PENDING, after="switching"),
    "removing": Place(
        step="removing", database=SOURCE, lock="SELECT FROM application LIMIT 1 FOR SHARE", after="switching"
    ),
}


@asynccontextmanager
async def holding(url: str, lock: str) -> AsyncIterator[None]:
    """Hold a lock while the block lasts."""
    async with asking(url) as connection, connection.transaction():
        await connection.execute(lock.format(org=ORG))
        yield


async def is_held_up(place: Place, urls: Mapping[str, str]) -> bool:
    """Whether the move stands there. It waits for a lock, or else only for the end of whoever holds it."""
    async with asking(urls[HOME]) as home, asking(urls[place.database]) as there:
        if await home.fetchval("SELECT step FROM tenant_move") != place.step:
            return False
        return not place.blocks or bool(await there.fetchval(WAITING))


@asynccontextmanager
async def mover(setting: Mapping[str, str], *arguments: str) -> AsyncIterator[Fork]:
    """`relevo tenants move` in a process of its own, which is gone afterwards."""
    process = await Fork.start("tenants", "move", ORG, *arguments, environ=environment(settings(**setting)))
    try:
        yield process
    finally:
        await process.close()


@asynccontextmanager
async def held_up(name: str, urls: Mapping[str, str]) -> AsyncIterator[None]:
    """A move stands at that place while the block lasts."""
    place = PLACES[name]
    async with AsyncExitStack() as stack:
        if place.after is not None:
            async with held_up(place.after, urls):
                await stack.enter_async_context(holding(urls[place.database], place.lock))
        else:
            await stack.enter_async_context(holding(urls[place.database], place.lock))
        await until(partial(is_held_up, place, urls))
        yield


@pytest.fixture
async def urls(database: str, other: str, migrated_server: EmbeddedServer) -> AsyncIterator[Mapping[str, str]]:
    """Three databases by name; in the second lives an organisation that owes something."""
    async with postgres.fresh_database(migrated_server) as third:
        urls = {HOME: database, SOURCE: other, TARGET: third}
        async with asking(database) as home:
            await home.execute("INSERT INTO organisation_home (org_id, database) VALUES ($1, $2)", ORG, SOURCE)
        async with over(**named(**by_name(urls))) as whole, client(whole) as api:
            app_id = (await api.post("/app", json={"name": "x", "uid": "mine"})).json()["id"]
            await api.post(f"/app/{app_id}/endpoint", json={"url": "http://127.0.0.1:9/"})
            later = {"eventType": "a.b", "payload": {}, "deliverAt": f"{datetime.now(UTC) + DAY:%Y-%m-%dT%H:%M:%SZ}"}
            for _ in range(OWED):
                (await api.post(f"/app/{app_id}/msg", json=later)).raise_for_status()
        yield urls


def by_name(urls: Mapping[str, str]) -> dict[str, str]:
    """As `named` takes them."""
    return {name.replace("-", "_"): url for name, url in urls.items()}


async def nothing_of_the_move_is_left(urls: Mapping[str, str]) -> bool:
    """No record, no list of changes, no trigger."""
    left = 0
    for url in urls.values():
        async with asking(url) as connection:
            left += await connection.fetchval(LEFT_OF_A_MOVE)
    return left == 0


@pytest.mark.parametrize("name", PLACES)
async def test_a_mover_that_is_killed_is_followed_by_another_from_wherever_it_was(
    urls: Mapping[str, str], name: str
) -> None:
    setting = named(**by_name(urls))
    before, empty = await everything(urls[SOURCE]), await everything(urls[TARGET])
    async with mover(setting, TARGET) as first, held_up(name, urls):
        first.kill()
        await first.wait()

    steps = await move(setting, to=TARGET)

    if name in {"draining", "stopping"}:
        assert "copying" in steps, "nobody knows for how long it was left, so it is served as before first"
    assert await everything(urls[TARGET]) == before
    assert await everything(urls[SOURCE]) == empty
    assert await homes(urls[HOME]) == {ORG: TARGET}
    assert await nothing_of_the_move_is_left(urls)


@pytest.mark.parametrize("name", ["copying", "draining", "stopping"])
async def test_a_move_that_is_cancelled_before_the_switch_leaves_nothing_behind(
    urls: Mapping[str, str], name: str
) -> None:
    setting = named(**by_name(urls))
    before, empty = await everything(urls[SOURCE]), await everything(urls[TARGET])
    async with mover(setting, TARGET) as first, AsyncExitStack() as stack:
        async with held_up(name, urls), asking(urls[HOME]) as home:
            second = await stack.enter_async_context(mover(setting, "--cancel"))
            await until(partial(home.fetchval, "SELECT cancelled FROM tenant_move"))
        said = [(await each.communicate())[0].decode() for each in (first, second)]

    assert all(one.endswith(f"{ORG} lives in {SOURCE}.\n") for one in said), said
    assert "undoing" in said[0] + said[1]
    assert await everything(urls[SOURCE]) == before
    assert await everything(urls[TARGET]) == empty
    assert await column(urls[TARGET], "SELECT org_id FROM organisation") == []
    assert await column(urls[SOURCE], "SELECT residence FROM organisation") == ["here"]
    assert await nothing_of_the_move_is_left(urls)


async def test_while_it_moves_nothing_is_lost_and_nothing_is_sent_twice(
    urls: Mapping[str, str], directory: Path, receiver: Receiver
) -> None:
    setting = named(**by_name(urls))
    server = RelevoProcess("serve", settings(**setting), directory / "serve.log")
    async with running(server), of_server(f"http://127.0.0.1:{server.environ['RELEVO_PORT']}") as api:
        app_id = await made(api, ORG, f"{receiver.url}/ok/{ORG}")
        async with asking(urls[SOURCE]) as connection:
            await connection.execute(HISTORY, ORG, app_id, FORMER)
        slow = {"url": f"{receiver.url}/slow/0.3"}  # its attempts are under way when the draining begins
        (await api.post(f"/api/v1/app/{app_id}/endpoint", json=slow, headers=bearer(ORG))).raise_for_status()
        sender = Tenant(api=api, org_id=ORG, app_id=app_id)
        async with sending(sender), sending(sender), sending(sender):
            await sender.progress(30)
            moving = asyncio.create_task(move(setting, to=TARGET))
            await asyncio.wait({moving, asyncio.create_task(sender.progress(60))}, return_when=asyncio.ALL_COMPLETED)
            await sender.progress(30)
        await sender.all_delivered(receiver)
        await at_rest(urls[TARGET])
        listed = await api.get(f"/api/v1/app/{app_id}/msg?limit=250", headers=bearer(ORG))

    assert moving.result()[0] == "copying"
    assert {answer.status_code for answer in sender.refused} <= {503}
    assert all(answer.headers["retry-after"] == "1" for answer in sender.refused)
    for path in (f"/ok/{ORG}", "/slow/0.3"):
        calls = Counter(call.header("webhook-id") for call in receiver.at(path))
        assert set(calls) == set(sender.accepted)
        assert max(calls.values()) == 1
    assert {message["id"] for message in listed.json()["data"]} >= set(sender.accepted[-50:])
    assert await column(urls[TARGET], "SELECT count(*) FROM message") == [OWED + FORMER + len(sender.accepted)]
    assert await column(urls[SOURCE], "SELECT count(*) FROM message") == [0]
    assert server.errors() == []


async def test_a_transaction_that_lasts_keeps_it_from_switching_and_messages_are_taken_in_meanwhile(
    urls: Mapping[str, str],
) -> None:
    setting = named(**by_name(urls))
    async with over(**setting) as whole, client(whole) as api, mover(setting, TARGET) as moving:
        async with held_up("stopping", urls), asking(urls[SOURCE]) as there:
            await until(partial(there.fetchval, "SELECT residence = 'leaving' FROM organisation"))
            message = {"eventType": "a.b", "payload": {}}
            statuses = await until_status(partial(api.post, "/app/mine/msg", json=message), 202)
        await moving.communicate()
        listed = await api.get("/app/mine/msg")

    assert set(statuses) <= {503, 202}
    assert moving.returncode == 0
    assert await homes(urls[HOME]) == {ORG: TARGET}
    assert len(listed.json()["data"]) == OWED + 1


async def test_a_background_task_that_was_running_goes_on_in_the_other_database(urls: Mapping[str, str]) -> None:
    setting = named(**by_name(urls))
    async with over(**setting) as whole, client(whole) as api:
        (endpoint,) = (await api.get("/app/mine/endpoint")).json()["data"]
        since = {"since": (datetime.now(UTC) - DAY).isoformat()}
        task = (await api.post(f"/app/mine/endpoint/{endpoint['id']}/replay-missing", json=since)).json()["id"]
        await until(partial(is_finished, api, task))
    async with asking(urls[SOURCE]) as there:
        await there.execute("UPDATE background_task SET status = 'running', cursor = '', due_at = now()")

    await move(setting, to=TARGET)

    async with over(**setting) as whole, client(whole) as api:
        await until(partial(is_finished, api, task))
    assert await column(urls[SOURCE], "SELECT id FROM background_task") == []


async def is_finished(api: AsyncClient, task: str) -> bool:
    """Whether the background task has done its work."""
    answer = await api.get(f"/background-task/{task}")
    return bool(answer.json().get("status") == "finished")


async def test_an_import_that_a_move_breaks_off_is_whole_when_it_is_sent_again(
    urls: Mapping[str, str], directory: Path
) -> None:
    setting = named(**by_name(urls))
    server = RelevoProcess("serve", settings(**setting), directory / "serve.log")
    line = b'{"eventType": "a.b", "payload": {}}\n'

    async def broken_by_a_move() -> AsyncIterator[bytes]:
        yield line * LINES
        async with asking(urls[SOURCE]) as there:
            await until(partial(there.fetchval, "SELECT count(*) > $1 FROM message", OWED))
        await move(setting, to=TARGET)
        yield line * LINES

    async with running(server), of_server(f"http://127.0.0.1:{server.environ['RELEVO_PORT']}") as api:
        path, headers = "/api/v1/app/mine/msg/import?file_id=january", bearer(ORG)
        first = await api.post(path, content=broken_by_a_move(), headers=headers)
        again = await api.post(path, content=line * LINES * 2, headers=headers)

    assert first.status_code != 200 or first.json()["status"] != "finished"
    assert (again.status_code, again.json()["status"], again.json()["refused"]) == (200, "finished", 0)
    assert await column(urls[TARGET], "SELECT count(*) FROM message") == [OWED + 2 * LINES]
    assert await column(urls[SOURCE], "SELECT count(*) FROM message") == [0]


async def test_a_live_tail_goes_on_in_the_other_database(
    urls: Mapping[str, str], directory: Path, receiver: Receiver
) -> None:
    setting = named(**by_name(urls))
    server = RelevoProcess("serve", settings(**setting), directory / "serve.log")
    async with running(server), of_server(f"http://127.0.0.1:{server.environ['RELEVO_PORT']}") as api:
        app_id = await made(api, ORG, f"{receiver.url}/ok/{ORG}")
        sender = Tenant(api=api, org_id=ORG, app_id=app_id)
        token = bearer(ORG)["authorization"].removeprefix("Bearer ")
        customer = Customer(url=str(api.base_url), token=token, app_id=app_id, secret="")
        async with tailing(customer) as tail:
            await sender.send()
            first = await line_of(tail)
            await move(setting, to=TARGET)
            gap = await line_of(tail)
            await until_status(sender.send, 202)
            second = await line_of(tail)

    assert [message_of(line) for line in (first, second)] == sender.accepted
    assert gap == "--- attempts may be missing here ---\n"


async def test_every_live_stream_ends_with_a_move_those_that_began_at_once_too(
    urls: Mapping[str, str], directory: Path
) -> None:
    setting = named(**by_name(urls))
    server = RelevoProcess("serve", settings(**setting), directory / "serve.log")
    async with running(server), of_server(f"http://127.0.0.1:{server.environ['RELEVO_PORT']}") as api:
        asked = [api.stream("GET", "/api/v1/app/mine/attempt/tail", headers=bearer(ORG)) for _ in range(4)]
        async with AsyncExitStack() as stack, asyncio.timeout(patient(20)):
            # The first requests of the organisation here, each of which has to ask where it lives.
            answers = await asyncio.gather(*map(stack.enter_async_context, asked))
            await move(setting, to=TARGET)
            for answer in answers:
                await answer.aread()  # to its end

    assert [answer.status_code for answer in answers] == [200] * 4


async def test_a_move_that_nobody_goes_on_with_is_gone_on_with_by_a_server(
    urls: Mapping[str, str], directory: Path
) -> None:
    setting = named(**by_name(urls))
    async with mover(setting, TARGET) as first, held_up("draining", urls):
        first.kill()
        await first.wait()

    server = RelevoProcess("serve", settings(**setting), directory / "serve.log")
    async with running(server), asking(urls[HOME]) as home:
        await until(partial(home.fetchval, "SELECT NOT EXISTS (SELECT FROM tenant_move)"))

    assert await homes(urls[HOME]) == {ORG: TARGET}
    assert await nothing_of_the_move_is_left(urls)


async def test_a_mover_that_hangs_loses_the_move_to_a_server(urls: Mapping[str, str], directory: Path) -> None:
    setting = named(**by_name(urls))
    server = RelevoProcess("serve", settings(**setting), directory / "serve.log")
    url = f"http://127.0.0.1:{server.environ['RELEVO_PORT']}"
    async with running(server), of_server(url) as api, mover(setting, TARGET) as first:
        async with held_up("stopping", urls):
            os.kill(first.pid, signal.SIGSTOP)
        async with asking(urls[HOME]) as home:
            await until(partial(home.fetchval, "SELECT NOT EXISTS (SELECT FROM tenant_move)"))
        listed = await api.get("/api/v1/app/mine/msg", headers=bearer(ORG))
        os.kill(first.pid, signal.SIGCONT)
        out, _ = await first.communicate()

    assert first.returncode == 0
    assert out.decode().endswith(f"{ORG} lives in {TARGET}.\n")
    assert len(listed.json()["data"]) == OWED
    assert await homes(urls[HOME]) == {ORG: TARGET}
    assert await nothing_of_the_move_is_left(urls)


async def test_what_cannot_be_moved_is_told(urls: Mapping[str, str]) -> None:
    setting = settings(**named(**by_name(urls)))
    said = [
        await run("tenants", "move", *arguments, environ=setting)
        for arguments in (
            (ORG, SOURCE),
            ("org_nobody", TARGET),
            (ORG, "eu-9"),
            ("x", TARGET),
            (ORG, "--cancel"),
            (ORG,),
            (ORG, TARGET, "--cancel"),
        )
    ]
    async with asking(urls[HOME]) as home:
        await home.execute(
            "INSERT INTO tenant_move (org_id, source, target, step) VALUES ('org_other', 'eu-1', 'eu-2', 'resuming')"
        )
        said.append(await run("tenants", "move", ORG, TARGET, environ=setting))
        said.append(await run("tenants", "move", "org_other", "--cancel", environ=setting))
        await home.execute("DELETE FROM tenant_move")
    twice = settings(**named(**by_name({**urls, TARGET: f"{urls[SOURCE]}&application_name=x"})))
    said.append(await run("tenants", "move", ORG, TARGET, environ=twice))

    assert [status for status, *_ in said] == [2] * len(said)
    told = [err.strip().splitlines()[-1] for _, _, err in said]
    assert told[:5] == [
        f"relevo: {ORG} lives in {SOURCE}.",
        f"relevo: org_nobody lives nowhere yet. Give it a database by `relevo tenants place org_nobody {TARGET}`.",
        "relevo: 'eu-9' is not a database of RELEVO_DATABASES, which are eu-1, eu-2, eu-3.",
        "relevo: " + no_organisation("x"),
        f"relevo: {ORG} is not being moved.",
    ]
    assert "required" in told[5]
    assert "not allowed" in told[6]
    assert told[7] == "relevo: org_other is being moved from eu-1 to eu-2 (resuming); one at a time."
    assert told[8] == "relevo: org_other lives in eu-2 already; what is left in eu-1 is being removed."
    assert told[9] == f"relevo: {SOURCE} and {TARGET} are one database: give one another in RELEVO_DATABASES."
