"""`--processes`: several processes on one port, as one server is seen from outside."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.supervision.cores import cores
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, asking, free_port, run, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises
from tests.system.test_crashes import SOON_TAKEN_OVER, assert_kept

MESSAGES = 160
CLIENTS = 12
KILLS = 2
ACCEPTED = 'relevo_message_accepted_total{outcome="accepted"}'
ADMIN = "an admin's token of thirty-two characters"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def environ(database: str) -> dict[str, str]:
    return settings(RELEVO_DATABASE_URL=database, RELEVO_PROCESSES="2", **SOON_TAKEN_OVER)


@dataclass(slots=True)
class Counters:
    """What `/metrics` has shown: the latest of each counter, and which went back."""

    now: dict[str, float] = field(default_factory=dict)
    looks: int = 0
    back: list[str] = field(default_factory=list)

    def see(self, text: str) -> None:
        """Compare with what was seen before."""
        seen = counters(text)
        self.back += [name for name, before in self.now.items() if seen.get(name, 0.0) < before]
        self.now |= seen
        self.looks += 1


def counters(text: str) -> dict[str, float]:
    """All that counts, by name and labels."""
    return {
        sample.name + "".join(f'{{{name}="{value}"}}' for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        if family.type in {"counter", "histogram"}
        for sample in family.samples
    }


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Counters]:
    """Look at `/metrics` again and again until the block ends."""
    counters = Counters()

    async def look() -> None:
        async with asking(url) as client:
            while True:
                try:
                    counters.see((await client.get("/metrics")).raise_for_status().text)
                except httpx.TransportError:
                    continue  # the process that had the connection was killed
                await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield counters
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def url_of(server: RelevoProcess) -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{server.environ['RELEVO_PORT']}"


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Until it does."""
    async with asyncio.timeout(patient(60)):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


async def all_ready(server: RelevoProcess) -> None:
    """Until each process has been ready."""
    async with asking(url_of(server)) as client:

        async def started() -> bool:
            return (await client.get("/startupz")).status_code == 200

        await until(started)


def exists(pid: int) -> bool:
    """Whether there is such a process, which has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_two_processes_share_port_and_database_and_are_one_to_operators(
    directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATA_DIR=str(directory / "data"), RELEVO_PROCESSES="2")
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        await all_ready(server)
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        for _ in range(8):  # connections of their own each time
            await senders.send_all(customer, count=4, clients=4, promises=(promises := Promises()))
            assert not promises.refused
        async with asking(url_of(server)) as client:
            page = (await client.get("/metrics")).text
            found = [(await client.get(f"{probe}?verbose")).json() for probe in ("/livez", "/readyz", "/startupz")]
        requests = server.events("request.finished")
        second = await run("serve", environ={**environ, "RELEVO_PORT": str(free_port())})
        status = await server.stop()

    pids = server.children
    assert {event["process"] for event in requests} == {1, 2}
    assert counters(page)[ACCEPTED] == 4, "idempotent repetitions are no messages"
    assert counters(page)['relevo_message_accepted_total{outcome="repeated"}'] == 28
    instances = [
        (sample.labels["relevo_role"], sample.labels["service_instance_id"])
        for family in text_string_to_metric_families(page)
        if family.name == "target_info"
        for sample in family.samples
    ]
    assert sorted(role for role, _ in instances) == ["serve", "serve", "supervisor"]
    assert len(set(instances)) == 3
    for probe in found:
        assert probe == {
            "ok": True,
            "checks": {f"process {number}, {pid}": {"ok": True, "detail": "yes"} for number, pid in pids.items()},
        }
    assert second[0] == 2, "the database is the parent's"
    assert "RELEVO_DATA_DIR" in second[2]
    assert status == 0
    assert not any(map(exists, pids.values()))


async def test_processes_that_are_killed_under_load_lose_nothing_and_no_counter_goes_back(
    environ: dict[str, str], database: str, directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    server = RelevoProcess("serve", environ, directory / "log")
    promises = Promises()

    async with running(server):
        await all_ready(server)
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        async with watched(url_of(server)) as counted, audit.auditing(database) as findings:
            async with asyncio.TaskGroup() as group:
                group.create_task(senders.send_all(customer, count=MESSAGES, clients=CLIENTS, promises=promises))
                for kill, count in enumerate(sorted(chance.sample(range(1, MESSAGES), KILLS)), start=1):
                    await promises.reach(count)
                    os.kill(server.children[chance.choice([1, 2])], signal.SIGKILL)
                    await until(lambda kill=kill: len(server.events("process.ready")) == 2 + kill)
            await audit.until_nothing_is_owed(database, within=patient(60))
        assert await server.stop() == 0

    assert findings.forgotten == 0
    assert_kept(promises, receiver, customer.secret)
    assert len(promises.accepted) == MESSAGES
    assert counted.looks > KILLS
    assert counted.back == []
    assert counted.now['relevo_process_ended_total{reason="signal"}'] == KILLS
    assert [event["status"] for event in server.events("process.ended")] == [128 + signal.SIGKILL] * KILLS


async def test_sighup_replaces_every_process_without_a_failed_request_or_a_lost_count(
    environ: dict[str, str], database: str, directory: Path, receiver: Receiver
) -> None:
    server = RelevoProcess("serve", {**environ, "RELEVO_PROCESSES": "auto"}, directory / "log")
    promises = Promises()

    async with running(server):
        await all_ready(server)
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        before = server.children
        async with watched(url_of(server)) as counted:
            sending = asyncio.create_task(senders.send_all(customer, count=100_000, clients=CLIENTS, promises=promises))
            await promises.reach(50)
            server.send(signal.SIGHUP)
            await until(lambda: bool(server.events("process.rolled")))
            await promises.reach(len(promises.accepted) + 50)
            sending.cancel()
            await asyncio.wait({sending})
        await audit.until_nothing_is_owed(database, within=patient(60))
        after = server.children
        async with asking(url_of(server)) as client:
            accepted = counters((await client.get("/metrics")).text)[ACCEPTED]
        stored = await audit.ask(database, "SELECT count(*) FROM message")

    assert [(event["count"], event["of"]) for event in server.events("process.rolled")] == [(cores(), cores())]
    assert len(before) == cores()
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    assert not any(map(exists, before.values()))
    assert promises.refused == 0
    assert counted.back == []
    assert accepted == stored


async def test_ctrl_c_at_the_terminal_reaches_the_parent_which_lets_them_finish(
    environ: dict[str, str], database: str, directory: Path, receiver: Receiver
) -> None:
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        await all_ready(server)
        customer = await senders.prepare(environ, f"{receiver.url}/slow/0.5")
        await senders.send_all(customer, count=20, clients=10, promises=Promises())
        await receiver.wait_for(1)
        groups = {os.getpgid(pid) for pid in server.children.values()}
        server.send_to_all(signal.SIGINT)  # a second one would force them to leave at once
        status = await server.ended()
        owed = await audit.ask(database, "SELECT count(*) FROM pending_delivery WHERE lease IS NOT NULL")

    assert status == 0
    assert owed == 0
    assert groups == set(server.children.values()), "the terminal reaches no child, which would be told twice"


async def test_the_others_answer_for_one_that_hangs_and_all_leave_when_their_parent_is_killed(
    directory: Path,
) -> None:
    environ = settings(RELEVO_DATA_DIR=str(directory / "data"), RELEVO_PROCESSES="2")
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server), asking(url_of(server)) as client:
        await all_ready(server)
        os.kill(server.children[1], signal.SIGSTOP)
        # The one that is stopped may have been given the connection already.
        answer = await answered(client, "/readyz?verbose")
        os.kill(server.children[1], signal.SIGCONT)
        await server.kill()
        await until(lambda: not any(map(exists, server.children.values())))
        await server.start()  # the database that was left behind is its own again
        await all_ready(server)
        assert await server.stop() == 0

    checks = {name.partition(",")[0]: check for name, check in answer.json()["checks"].items()}
    assert answer.status_code == 200
    assert checks == {"process 1": {"ok": False, "detail": "answer: none"}, "process 2": {"ok": True, "detail": "yes"}}


async def answered(client: httpx.AsyncClient, target: str) -> httpx.Response:
    """The first answer to a request that is made again and again, over a connection of its own each time."""
    async with asyncio.timeout(patient(60)):
        while True:
            try:
                return await client.get(target, headers={"connection": "close"}, timeout=patient(5))
            except httpx.TimeoutException:
                continue


async def test_operators_reach_all_processes_by_the_port_of_their_own(environ: dict[str, str], directory: Path) -> None:
    environ |= {"RELEVO_OPS_PORT": str(free_port()), "RELEVO_ADMIN_TOKEN": ADMIN}
    server = RelevoProcess("serve", environ, directory / "log")
    ops = f"http://127.0.0.1:{environ['RELEVO_OPS_PORT']}"

    async with running(server), asking(ops, authorization=f"Bearer {ADMIN}") as client:
        await all_ready(server)
        metrics = (await client.get("/metrics")).text
        probes = [(await client.get(probe)).status_code for probe in ("/livez", "/healthz", "/readyz", "/startupz")]
        refused = await client.get("/admin/log-level", headers={"authorization": "Bearer another"})
        quiet = await client.put("/admin/log-level", json={"level": "error", "seconds": 600})
        shown = await client.get("/admin/log-level")
        profiles = [
            await client.post("/admin/profile", params={"seconds": "0.1", "format": "text", "process": number})
            for number in ("1", "2", "3")
        ]
        async with asking(url_of(server)) as caller:
            elsewhere = [(await caller.get(path)).status_code for path in ("/readyz", "/metrics", "/admin/log-level")]

    assert 'relevo_pool_size{pool="hot"}' in metrics
    assert probes == [200, 200, 200, 200]
    assert refused.status_code == 401
    assert quiet.json()["level"] == shown.json()["level"] == "error"
    assert sorted(str(event["process"]) for event in server.events("admin.log_level")) == ["1", "2"]
    assert [profile.status_code for profile in profiles] == [200, 200, 503]
    assert sorted(str(event["process"]) for event in server.events("admin.profile")) == ["1", "2"]
    assert elsewhere == [200, 404, 404]


async def test_workers_come_in_numbers_too(environ: dict[str, str], directory: Path, receiver: Receiver) -> None:
    # A server with few places leaves work to the workers.
    server = RelevoProcess("serve", {**environ, "RELEVO_PROCESSES": "1", "RELEVO_CONCURRENCY": "2"}, directory / "log")
    workers = RelevoProcess("worker", environ, directory / "workers.log")

    async with running(server), workers_running(workers):
        customer = await senders.prepare(environ, f"{receiver.url}/slow/0.05")
        await senders.send_all(customer, count=MESSAGES, clients=CLIENTS, promises=Promises())
        await receiver.wait_for(MESSAGES, within=patient(60))
        status = await workers.stop()

    assert status == 0
    assert {event["process"] for event in workers.events("delivery.attempted")} == {1, 2}


@asynccontextmanager
async def workers_running(workers: RelevoProcess) -> AsyncIterator[None]:
    """Started, and both ready."""
    async with running(workers):
        await until(lambda: len(workers.children) == 2)
        yield


async def test_processes_that_cannot_start_say_why_and_end_their_parent(
    environ: dict[str, str], database: str, directory: Path
) -> None:
    await audit.ask(database, "ALTER TABLE message RENAME TO gone")

    status, said, complaint = await run("serve", environ={**environ, "RELEVO_LOG_LEVEL": "error"})

    assert status not in {0, None}
    assert 'relation "message" does not exist' in complaint
    assert '"level":"info"' not in said, "neither they nor their parent"


@pytest.mark.parametrize("said", ["0", "257", "many", "1.5"])
async def test_a_number_that_is_none_is_refused(environ: dict[str, str], said: str) -> None:
    status, _, complaint = await run("serve", "--processes", said, environ=environ)

    assert status == 2
    assert complaint.startswith("relevo: RELEVO_PROCESSES: ")


async def test_nobody_is_a_child_without_a_parent(environ: dict[str, str]) -> None:
    status, _, complaint = await run("serve", "--child", environ=environ)

    assert status == 2
    assert "--child" in complaint
