"""Reading sources: what is accepted, refused, put off, and what becomes of it when broker or database go away."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import asyncpg
import pytest
from structlog.testing import capture_logs

from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.repositories.payload_rules import PostgresPayloadRules
from service.adapters.postgres.repositories.sources import PostgresSourceLedger
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from service.adapters.postgres.server.wakeups import Bell
from service.application.intake import Submissions
from service.application.payload_checks import PayloadChecks
from service.domain.errors import Busy, Unavailable
from service.domain.messages import KeyTaken, NewMessage, Reception, Repeated
from service.domain.sources import MAX_FAULTS, NatsOrigin, Source, SourceKind
from service.observability.deliveries import DeliveryTelemetry
from service.observability.sources import SourceTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from service.offloading.processes import Processes
from service.sources.reader import BATCH_MESSAGES, BATCHES_AT_ONCE
from service.sources.reading import SourceReading
from tests.domain.test_sources import a_source
from tests.support.factories import VAULT, add_application
from tests.support.memory_broker import MemoryBroker
from tests.support.patience import patient

ORIGIN = NatsOrigin(servers=("nats://127.0.0.1:9",), stream="EVENTS")
PLACE = {"servers": ["nats://127.0.0.1:9"], "stream": "EVENTS"}
HEADERS = {"relevo-application": "shop", "relevo-event-type": "invoice.paid"}


class Gate:
    """An intake that takes, or refuses for now by the error that it has, before PostgreSQL's."""

    def __init__(self, intake: PostgresIntake) -> None:
        self._intake = intake
        self.error: Exception | None = None
        self.refused = asyncio.Event()

    async def accept(self, message: NewMessage) -> Reception:
        if self.error is not None:
            self.refused.set()
            raise self.error
        return await self._intake.accept(message)

    async def first_use(self, message: NewMessage) -> Repeated | KeyTaken | None:
        return await self._intake.first_use(message)


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Database]:
    async with open_database(database) as opened:
        yield opened


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        yield telemetry


@pytest.fixture
async def gate(postgres: Database, telemetry: Telemetry) -> AsyncIterator[Gate]:
    intake = PostgresIntake(postgres.pool, accepted=lambda: None, telemetry=DeliveryTelemetry(telemetry))
    async with intake.running():
        yield Gate(intake)


@pytest.fixture
def bell() -> Bell:
    return Bell("unheard")


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def reading(postgres: Database, telemetry: Telemetry, gate: Gate, bell: Bell, broker: MemoryBroker) -> SourceReading:
    begin = partial(open_unit_of_work, postgres.sessions, VAULT)
    checks = PayloadChecks(PostgresPayloadRules(postgres.pool), Processes(workers=1, seconds=5))

    return SourceReading(
        ledger=PostgresSourceLedger(postgres.pool, VAULT, bell, poll=0.05),
        consumers={SourceKind.NATS: broker},
        submissions=Submissions(gate, checks, begin=begin, clock=SystemClock(), new_id=new_id),
        telemetry=SourceTelemetry(telemetry),
        clock=SystemClock(),
        new_id=new_id,
        name="this process",
    )


@pytest.fixture
async def source(postgres: Database) -> Source:
    """A source that is read, and the application `shop`."""
    await add_application(postgres.pool, uid="shop")
    made = a_source(place=PLACE)
    async with open_unit_of_work(postgres.sessions, VAULT) as work:
        await work.sources.add(made, ORIGIN)
    return made


async def kept(pool: asyncpg.Pool) -> list[str]:
    """The event ids of all messages, in order."""
    return [row["event_id"] for row in await pool.fetch("SELECT event_id FROM message ORDER BY event_id")]


async def state_of(pool: asyncpg.Pool, state: str, *, reason: str | None = None) -> None:
    """Wait until this process reports that state."""
    async with asyncio.timeout(patient(10)):
        while not await pool.fetchval(
            "SELECT exists(SELECT FROM source_reader WHERE state = $1 AND reason IS NOT DISTINCT FROM $2)",
            state,
            reason,
        ):
            await pool.execute("SELECT pg_sleep(0.01)")


async def emptied(broker: MemoryBroker) -> None:
    async with asyncio.timeout(patient(20)):
        await broker.until_empty()


@pytest.mark.usefixtures("source")
async def test_what_is_accepted_is_acknowledged_and_kept_byte_for_byte(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    payload = b'{ "n" : 1.0 }'
    broker.put(payload, HEADERS, event_id="e-1")
    broker.put(json.dumps({"application": "shop", "eventType": "a", "payload": {}}).encode(), event_id="e-2")

    async with reading.running():
        await emptied(broker)

    assert await kept(postgres.pool) == ["e-1", "e-2"]
    assert bytes(await postgres.pool.fetchval("SELECT payload FROM message WHERE event_id = 'e-1'")) == payload


@pytest.mark.usefixtures("source")
async def test_more_than_all_places_hold_is_read_to_the_end(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    count = BATCHES_AT_ONCE * BATCH_MESSAGES + 100
    for number in range(count):
        broker.put(b"{}", HEADERS, event_id=f"e-{number}")

    async with reading.running():
        await emptied(broker)

    assert len(await kept(postgres.pool)) == count
    assert len(broker.acknowledged) == count


@pytest.mark.usefixtures("source")
async def test_what_is_delivered_again_is_the_same_message(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    for _ in range(3):
        broker.put(b"{}", HEADERS, event_id="e-1")

    async with reading.running():
        await emptied(broker)

    assert await kept(postgres.pool) == ["e-1"]


async def test_what_is_refused_for_good_ends_in_faults_and_dead_letters_and_stops_nothing(
    postgres: Database, source: Source, reading: SourceReading, broker: MemoryBroker
) -> None:
    broker.put(b"no JSON")
    broker.put(b"[]", HEADERS)
    broker.put(b"{}", HEADERS | {"relevo-application": "nobody"}, event_id="e-1")
    broker.put(b"{}", HEADERS | {"relevo-event-id": "not a name \x00"})
    broker.put(b"{}", HEADERS, event_id="e-2")

    async with reading.running():
        await emptied(broker)

    faults = await postgres.pool.fetch("SELECT position, code, event_id, source_id FROM source_fault ORDER BY position")
    assert [(row["position"], row["code"]) for row in faults] == [
        ("memory-0", "value_error"),
        ("memory-1", "value_error"),
        ("memory-2", "not_found"),
        ("memory-3", "value_error"),
    ]
    assert {row["source_id"] for row in faults} == {source.id}
    assert faults[3]["event_id"] == "not a name \ufffd"
    assert sorted(position for position, _ in broker.buried) == [row["position"] for row in faults]
    assert dict(broker.buried)["memory-2"] == "not_found: Application not found"
    assert await kept(postgres.pool) == ["e-2"]


@pytest.mark.usefixtures("source")
async def test_faults_beyond_the_limit_push_out_the_oldest(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    for number in range(MAX_FAULTS + BATCH_MESSAGES):
        broker.put(b"no JSON", event_id=f"e-{number}")

    async with reading.running():
        await emptied(broker)

    assert await postgres.pool.fetchval("SELECT count(*) FROM source_fault") == MAX_FAULTS


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("error", [Busy(), Unavailable()])
async def test_what_is_refused_for_now_waits_and_holds_up_fetching(
    postgres: Database, reading: SourceReading, broker: MemoryBroker, gate: Gate, error: Exception
) -> None:
    for number in range(BATCHES_AT_ONCE * BATCH_MESSAGES * 2):
        broker.put(b"{}", HEADERS, event_id=f"e-{number}")
    gate.error = error

    async with reading.running():
        async with asyncio.timeout(patient(10)):
            await gate.refused.wait()
            while broker.fetched < BATCHES_AT_ONCE * BATCH_MESSAGES:
                await postgres.pool.execute("SELECT pg_sleep(0.01)")
        fetched, acknowledged = broker.fetched, len(broker.acknowledged)
        gate.error = None
        await emptied(broker)

    assert (fetched, acknowledged) == (BATCHES_AT_ONCE * BATCH_MESSAGES, 0)
    assert len(await kept(postgres.pool)) == BATCHES_AT_ONCE * BATCH_MESSAGES * 2


@pytest.mark.usefixtures("source")
async def test_a_message_that_always_fails_is_refused_in_the_end(
    postgres: Database, reading: SourceReading, broker: MemoryBroker, gate: Gate
) -> None:
    broker.put(b"{}", HEADERS, event_id="e-1")
    gate.error = ValueError("a fault of ours")

    async with reading.running():
        await emptied(broker)

    assert await postgres.pool.fetchval("SELECT code FROM source_fault") == "generic_error"
    assert len(broker.buried) == 1


@pytest.mark.usefixtures("source")
async def test_a_process_that_leaves_does_not_wait_for_what_is_put_off(
    postgres: Database, reading: SourceReading, broker: MemoryBroker, gate: Gate
) -> None:
    broker.put(b"{}", HEADERS, event_id="e-1")
    gate.error = Unavailable()

    async with asyncio.timeout(patient(5)), reading.running():
        await gate.refused.wait()

    assert len(broker.waiting) == 1
    assert await kept(postgres.pool) == []


@pytest.mark.usefixtures("source")
async def test_a_broker_that_is_away_is_tried_again_and_says_why(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    broker.refuses = "nobody listens there"
    broker.put(b"{}", HEADERS, event_id="e-1")

    async with reading.running():
        await state_of(postgres.pool, "retrying", reason="nobody listens there")
        broker.refuses = None
        await emptied(broker)
        await state_of(postgres.pool, "running")

    assert await kept(postgres.pool) == ["e-1"]


async def test_a_source_that_is_created_changed_or_switched_off_is_noticed(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    await add_application(postgres.pool, uid="shop")
    async with reading.running():
        source = a_source(place=PLACE)
        async with open_unit_of_work(postgres.sessions, VAULT) as work:
            await work.sources.add(source, ORIGIN)
        broker.put(b"{}", HEADERS, event_id="e-1")
        await emptied(broker)

        changed = replace(source, application="nobody", updated_at=source.updated_at + timedelta(seconds=1))
        async with open_unit_of_work(postgres.sessions, VAULT) as work:
            await work.sources.replace(changed, None)
        async with asyncio.timeout(patient(10)):
            while broker.opened < 2:
                await postgres.pool.execute("SELECT pg_sleep(0.01)")
        broker.put(b"{}", HEADERS, event_id="e-2")
        await emptied(broker)

        async with open_unit_of_work(postgres.sessions, VAULT) as work:
            await work.sources.delete(changed)
        async with asyncio.timeout(patient(10)):
            while reading.read:
                await postgres.pool.execute("SELECT pg_sleep(0.01)")
        broker.put(b"{}", HEADERS, event_id="e-3")

    assert await kept(postgres.pool) == ["e-1"]
    assert [each.event_id for each in broker.waiting] == ["e-3"]


@pytest.mark.usefixtures("source")
async def test_a_kind_whose_client_is_missing_says_so(postgres: Database, reading: SourceReading) -> None:
    reading._consumers = {}

    async with reading.running():
        await state_of(
            postgres.pool, "retrying", reason="The client of nats is not installed here: install relevo[nats]."
        )


@pytest.mark.usefixtures("source")
async def test_a_report_that_fails_as_nobody_foresaw_ends_no_reading(
    postgres: Database, reading: SourceReading, broker: MemoryBroker
) -> None:
    await postgres.pool.execute("ALTER TABLE source_reader RENAME TO elsewhere")

    with capture_logs() as lines:
        async with reading.running(), asyncio.timeout(patient(10)):
            while not any(line["event"] == "source.not_reported" for line in lines):  # noqa: ASYNC110  # the log
                await asyncio.sleep(0.01)
            broker.put(b"{}", HEADERS, event_id="e-1")
            await emptied(broker)

    assert "source.lost" not in [line["event"] for line in lines]
    assert await kept(postgres.pool) == ["e-1"]
