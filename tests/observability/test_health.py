"""What the probes answer, and that they ask nobody."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from service.observability.eventloop import sample_lag
from service.observability.health import CHECK_MAX_AGE_S, Health
from service.observability.telemetry import Telemetry
from tests.support.otlp import Collector


class Database:
    """Answers or not, and counts how often it was asked."""

    def __init__(self) -> None:
        self.up = True
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if not self.up:
            raise ConnectionError


def probing(health: Health) -> Callable[[str], Awaitable[httpx.Response]]:
    async def probe(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=health.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://relevo.test") as client:
            return await client.get(path)

    return probe


async def test_ready_means_started_with_the_database_there_and_not_draining(telemetry: Telemetry) -> None:
    database, health = Database(), Health(registry=telemetry.registry)
    probe = probing(health)
    statuses = []

    async def look() -> None:
        statuses.append((await probe("/readyz")).status_code)

    await look()
    health.started()
    await health.check_database(database.ping)
    await look()
    database.up = False
    await health.check_database(database.ping)
    await look()
    database.up = True
    await health.check_database(database.ping)
    await look()
    health.draining()
    await look()

    assert statuses == [503, 200, 503, 200, 503]
    assert database.asked == 3


async def test_of_several_databases_one_has_to_answer_and_each_is_named(telemetry: Telemetry) -> None:
    one, other, health = Database(), Database(), Health(registry=telemetry.registry)
    probe, answers = probing(health), []
    health.started()
    health.watch_intake(lambda: 1.0)
    health.watch_intake(lambda: 0.25)

    async def look() -> None:
        for name, database in (("eu-1", one), ("eu-2", other)):
            await health.check_database(database.ping, name=name)
        answers.append(await probe("/readyz?verbose"))

    await look()
    other.up = False
    await look()
    one.up = False
    await look()

    assert [answer.status_code for answer in answers] == [200, 200, 503]
    told = [answer.json()["checks"]["database"]["detail"] for answer in answers]
    assert told[0] == "eu-1 answers; eu-2 answers"
    assert told[1].startswith("eu-1 answers; eu-2 ")
    assert answers[0].json()["checks"]["intake"] == {"ok": True, "detail": "25% full"}
    assert (health.answers("eu-1"), health.answers("eu-3")) == (False, False)


async def test_what_else_is_needed_is_asked_at_each_probe(telemetry: Telemetry) -> None:
    known: list[bool] = []
    health = Health(registry=telemetry.registry)
    health.started()
    health.need("revocations", lambda: bool(known))
    await health.check_database(Database().ping)

    before = await probing(health)("/readyz?verbose")
    known.append(True)
    after = await probing(health)("/readyz")

    assert before.json()["checks"]["revocations"] == {"ok": False, "detail": "not known yet"}
    assert (before.status_code, after.status_code) == (503, 200)


async def test_a_check_that_is_long_ago_counts_for_nothing(telemetry: Telemetry) -> None:
    now = [0.0]
    health = Health(registry=telemetry.registry, clock=lambda: now[0])
    health.started()
    await health.check_database(Database().ping)

    now[0] += CHECK_MAX_AGE_S

    assert (await probing(health)("/readyz")).status_code == 503


async def test_a_full_intake_is_not_ready(telemetry: Telemetry) -> None:
    health = Health(registry=telemetry.registry)
    health.started()
    health.watch_intake(lambda: 1.0)
    await health.check_database(Database().ping)

    answer = await probing(health)("/readyz?verbose")

    assert answer.status_code == 503
    assert answer.json()["checks"]["intake"] == {"ok": False, "detail": "100% full"}
    assert answer.json()["checks"]["database"]["ok"]


async def test_alive_means_that_the_critical_tasks_live_whatever_the_database_does(telemetry: Telemetry) -> None:
    database, health, end = Database(), Health(registry=telemetry.registry), asyncio.Event()
    database.up = False
    await health.check_database(database.ping)

    async def engine() -> None:
        await end.wait()

    task = asyncio.create_task(engine())
    health.depends_on("engine", task)
    alive = [(await probing(health)(path)).status_code for path in ("/livez", "/healthz")]
    end.set()
    await task
    dead = await probing(health)("/livez?verbose")

    assert alive == [200, 200]
    assert dead.status_code == 503
    assert dead.json()["checks"]["engine"] == {"ok": False, "detail": "ended"}


async def test_startup_is_complete_once(telemetry: Telemetry) -> None:
    health = Health(registry=telemetry.registry)

    before = await probing(health)("/startupz")
    health.started()
    after = await probing(health)("/startupz")

    assert (before.status_code, after.status_code) == (503, 200)


async def test_metrics_parse_agree_with_what_is_exported_and_name_no_scope(
    telemetry: Telemetry, collector: Collector
) -> None:
    metrics = telemetry.metrics
    metrics.messages_accepted("accepted", 17)
    metrics.queue_sampled({"due": 3, "waiting": 4}, oldest_due_age=1.5)
    metrics.worker(inflight=2, capacity=64)
    metrics.batch("settle", size=5, seconds=0.004)
    metrics.observe_pool("db", size=lambda: 10, checked_out=lambda: 4)

    page = (await probing(Health(registry=telemetry.registry))("/metrics")).text

    shown = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert "otel_scope" not in page
    assert shown["relevo_message_accepted_total", frozenset({("outcome", "accepted")})] == 17
    assert shown["relevo_queue_depth", frozenset({("state", "waiting")})] == 4
    assert shown["relevo_pool_checked_out", frozenset({("pool", "db")})] == 4
    collector.wait_for(lambda seen: any(point.metric == "relevo.pool.size" for point in seen.points))
    exported = {(point.metric, point.labels): point.value for point in collector.points}
    assert exported["relevo.message.accepted", frozenset({("outcome", "accepted")})] == 17
    assert exported["relevo.queue.depth", frozenset({("state", "waiting")})] == 4
    assert exported["relevo.commit.batch.size", frozenset({("batch", "settle")})] == 1


async def test_the_loops_lag_is_how_late_it_wakes_a_sleeper(telemetry: Telemetry) -> None:
    times = iter([0.0, 0.75, 0.75, 1.25])
    turns = iter([None, None])

    async def sleep(_: float) -> None:
        if next(turns, "over") == "over":
            raise asyncio.CancelledError

    sampling = asyncio.gather(
        sample_lag(telemetry.metrics, interval=0.5, clock=lambda: next(times, 9.0), sleep=sleep),
        return_exceptions=True,
    )
    await sampling

    assert telemetry.registry.get_sample_value("relevo_eventloop_lag_seconds_count") == 2
    assert telemetry.registry.get_sample_value("relevo_eventloop_lag_seconds_sum") == 0.25
