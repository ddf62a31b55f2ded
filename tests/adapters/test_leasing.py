"""Which deliveries begin at once: the same whether they are born leased or claimed, and claims alike in every field."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.claims import ClaimReader, left
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.queue.intake import Leasing, PostgresIntake
from service.application.ports.queue import Room
from service.domain.deliveries import Claim, Status
from service.domain.ids import ApplicationId, EndpointId
from service.domain.messages import NewMessage
from service.domain.retries import Delivered
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import VAULT, add_application, add_endpoint, new_message
from tests.support.queues import a_worker, came_of, owe

LEASE = timedelta(seconds=30)
MESSAGES = 3
RESTING = "INSERT INTO endpoint_rest (endpoint_id, rests, until) VALUES ($1, 1, now() + $2::interval)"


@dataclass
class Engine:
    """An engine with so much room, which keeps what is handed to it."""

    room_left: Room
    taken: list[Claim] = field(default_factory=list)

    def room(self) -> Room:
        return self.room_left

    def take_in(self, claims: Iterable[Claim]) -> None:
        self.taken += claims


@dataclass
class Site:
    """One application with two endpoints, `one` and `other`."""

    pool: asyncpg.Pool
    queue: PostgresQueue
    told: DeliveryTelemetry
    app: ApplicationId
    one: EndpointId
    other: EndpointId
    announced: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def intake(self, engine: Engine | None) -> AsyncIterator[PostgresIntake]:
        leasing = None if engine is None else Leasing(engine=engine, reader=ClaimReader(VAULT), lease=LEASE)
        intake = PostgresIntake(
            self.pool, accepted=lambda: self.announced.append("due"), telemetry=self.told, leasing=leasing
        )
        async with intake.running():
            yield intake

    async def begun(self, messages: Sequence[NewMessage], room: Room, *, leased: bool) -> list[Claim]:
        """What begins after the messages were accepted and the engine has claimed once for the room it had left."""
        engine = Engine(room)
        async with self.intake(engine if leased else None) as intake:
            for message in messages:
                taken = engine.taken
                rooms = left(room.per_endpoint, room.rooms, taken)
                engine.room_left = replace(room, limit=room.limit - len(taken), rooms=rooms)
                await intake.accept(message)
        rooms = left(room.per_endpoint, room.rooms, engine.taken)
        claimed = await self.queue.claim(
            limit=room.limit - len(engine.taken), per_endpoint=room.per_endpoint, rooms=rooms
        )
        return engine.taken + claimed

    def messages(self, count: int = MESSAGES) -> list[NewMessage]:
        return [new_message(self.app) for _ in range(count)]


@pytest.fixture
async def site(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[Site]:
    app = await add_application(pool)
    one, other = await add_endpoint(pool, app), await add_endpoint(pool, app)
    async with a_worker(pool, database, told, lease=LEASE) as queue:
        yield Site(pool, queue, told, app, one, other)


async def nothing(_: Site) -> None: ...


async def throttled(site: Site) -> None:
    await site.pool.execute("UPDATE endpoint SET throttle_rate = 1 WHERE id = $1", site.one)


async def all_throttled(site: Site) -> None:
    await site.pool.execute("UPDATE application SET throttle_rate = 1")


async def resting(site: Site) -> None:
    await site.pool.execute(RESTING, site.one, timedelta(minutes=1))


async def rested(site: Site) -> None:
    await site.pool.execute(RESTING, site.one, timedelta(seconds=-1))


async def disabled(site: Site) -> None:
    await site.pool.execute("UPDATE endpoint SET disabled = true WHERE id = $1", site.one)


async def older(site: Site) -> None:
    await owe(site.pool, site.one, site.app, 2)


async def older_retries(site: Site) -> None:
    await owe(site.pool, site.one, site.app, 2, due_in=timedelta(minutes=1), attempts=1)


AMPLE = {"limit": 100, "per_endpoint": 50}
CASES = {
    "nothing special": (nothing, AMPLE, {}, (MESSAGES, MESSAGES)),
    "a disabled endpoint": (disabled, AMPLE, {}, (0, MESSAGES)),
    "a throttled endpoint": (throttled, AMPLE, {}, (0, MESSAGES)),
    "a throttled application": (all_throttled, AMPLE, {}, (0, 0)),
    "a resting endpoint": (resting, AMPLE, {}, (0, MESSAGES)),
    "an endpoint that has rested": (rested, AMPLE, {}, (MESSAGES, MESSAGES)),
    "a saturated endpoint": (nothing, AMPLE, {"one": 0}, (0, MESSAGES)),
    "an endpoint with one place": (nothing, AMPLE, {"one": 1}, (1, MESSAGES)),
    "an endpoint with more than the others": (nothing, {"limit": 100, "per_endpoint": 1}, {"one": 2}, (2, 1)),
    "a share for each endpoint": (nothing, {"limit": 100, "per_endpoint": 2}, {}, (2, 2)),
    "older deliveries": (older, {"limit": 100, "per_endpoint": 3}, {}, (3, 3)),
    "retries that are not due": (older_retries, AMPLE, {}, (MESSAGES, MESSAGES)),
    "no room": (nothing, {"limit": 0, "per_endpoint": 50}, {}, (0, 0)),
}


@pytest.mark.parametrize("leased", [True, False], ids=["leased", "claimed"])
@pytest.mark.parametrize("case", CASES)
async def test_what_begins_at_once(*, site: Site, case: str, leased: bool) -> None:
    prepare, sizes, rooms, expected = CASES[case]
    await prepare(site)
    known = {"one": site.one, "other": site.other}
    room = Room(**sizes, rooms={known[name]: places for name, places in rooms.items()})

    begun = await site.begun(site.messages(), room, leased=leased)

    counted = Counter(claim.endpoint_id for claim in begun)
    assert (counted[site.one], counted[site.other]) == expected


@pytest.mark.parametrize("leased", [True, False], ids=["leased", "claimed"])
async def test_what_is_older_begins_first(*, site: Site, leased: bool) -> None:
    waiting = await owe(site.pool, site.one, site.app, 2)

    begun = await site.begun(site.messages(), Room(limit=100, per_endpoint=2, rooms={}), leased=leased)

    assert [claim.message_id for claim in begun if claim.endpoint_id == site.one] == waiting


@pytest.mark.parametrize("leased", [True, False], ids=["leased", "claimed"])
async def test_what_is_for_later_does_not_begin(*, site: Site, leased: bool) -> None:
    later = new_message(site.app, deliver_at=datetime.now(UTC) + timedelta(minutes=2))

    begun = await site.begun([later], Room(limit=100, per_endpoint=50, rooms={}), leased=leased)

    assert begun == []
    assert await site.pool.fetchval("SELECT bool_and(due_at > now() AND lease IS NULL) FROM pending_delivery")


async def test_in_one_batch_each_endpoint_comes_once_before_any_comes_twice(site: Site) -> None:
    engine = Engine(Room(limit=3, per_endpoint=50, rooms={}))

    async with site.intake(engine) as intake:
        await asyncio.gather(*map(intake.accept, site.messages(10)))

    assert sorted(Counter(claim.endpoint_id for claim in engine.taken).values()) == [1, 2]
    assert site.announced == ["due"]


async def test_nobody_has_to_claim_what_is_born_leased(site: Site) -> None:
    engine = Engine(Room(limit=100, per_endpoint=50, rooms={}))

    async with site.intake(engine) as intake:
        await intake.accept(new_message(site.app))
    claimed = await site.queue.claim(limit=100, per_endpoint=50, rooms={})

    assert (len(engine.taken), claimed, site.announced) == (2, [], [])


async def test_a_born_lease_is_a_lease(site: Site) -> None:
    """It holds until its end, its token settles, and after its end somebody else has the delivery."""
    engine = Engine(Room(limit=100, per_endpoint=50, rooms={}))
    async with site.intake(engine) as intake:
        await intake.accept(new_message(site.app))
    kept, lost = engine.taken
    lasts = await site.pool.fetch("SELECT due_at - now() AS lasts FROM pending_delivery")

    settled = await site.queue.settle(came_of(kept, Delivered(), status=Status.SUCCESS))
    await site.pool.execute("UPDATE pending_delivery SET due_at = now()")
    (again,) = await site.queue.claim(limit=100, per_endpoint=50, rooms={})
    too_late = await site.queue.settle(came_of(lost, Delivered(), status=Status.SUCCESS))

    assert all(LEASE * 0.5 < row["lasts"] <= LEASE for row in lasts)
    assert (settled.applied, too_late.applied) == (True, False)
    assert (again.endpoint_id, again.attempt) == (lost.endpoint_id, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"channels": ("emea", "us"), "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "correlation_id": "mine"},
        {"content_type": "application/xml", "payload": b"<xml/>", "event_id": "an-event"},
    ],
    ids=["plain", "with all that a message can say", "no JSON"],
)
@pytest.mark.parametrize("metadata", ["{}", '{"relevo.traceparent": "true"}'], ids=["untraced", "traced"])
async def test_a_born_claim_has_what_a_claim_has(*, site: Site, changed: dict[str, object], metadata: str) -> None:
    await site.pool.execute("UPDATE endpoint SET metadata = $1", metadata)
    await site.pool.execute("UPDATE application SET uid = 'customer-1'")
    engine = Engine(Room(limit=1, per_endpoint=1, rooms={site.other: 0}))
    async with site.intake(engine) as intake:
        await intake.accept(new_message("customer-1", **changed))
    await site.pool.execute("UPDATE pending_delivery SET lease = NULL, due_at = now()")

    claimed = await site.queue.claim(limit=1, per_endpoint=1, rooms={site.other: 0})

    assert [alike(claim) for claim in engine.taken] == [alike(claim) for claim in claimed]
    assert len(claimed) == 1


async def test_a_message_that_is_refused_gets_no_lease(site: Site) -> None:
    engine = Engine(Room(limit=100, per_endpoint=50, rooms={}))
    first, again = new_message(site.app, event_id="an-event"), new_message(site.app, event_id="an-event")

    async with site.intake(engine) as intake:
        await intake.accept(first)
        await intake.accept(again)
        await intake.accept(new_message("nobody"))

    assert {claim.message_id for claim in engine.taken} == {first.id}
    assert await site.pool.fetchval("SELECT count(*) FROM pending_delivery") == 2


def alike(claim: Claim) -> Claim:
    """Without what no two claims share."""
    return replace(claim, lease="", due_at=claim.accepted_at)
