"""The engine's loop over a queue in memory and couriers that the test holds back."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from structlog.testing import capture_logs

from service.application.turns import MIN_BACKOFF_S, first_of
from service.delivery.allowances import DEFAULT_ATTEMPTS
from service.delivery.engine import (
    BUSY_CLAIM_DELAY_S,
    CLAIM_DELAY_S,
    MAX_BURST,
    MIN_CLAIM_ROWS,
    MIN_UNSETTLED,
    Engine,
    Judged,
)
from service.domain.deliveries import Claim, Settled, Settlement
from service.domain.errors import Unavailable
from service.domain.ids import EndpointId
from service.domain.outcomes import Outcome
from tests.support.factories import a_claim
from tests.support.outcomes import answered
from tests.support.patience import patient

CROWDED, SILENT = EndpointId("ep_crowded"), EndpointId("ep_silent")
WELL = answered(200)


@dataclass
class Queue:
    """A queue that hands out what it is given, and remembers what came back."""

    due: list[Claim]
    fails: int = 0
    error: type[Exception] = Unavailable
    released: list[Claim] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    claimed_at: list[float] = field(default_factory=list)

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        self.asked.set()
        self.claimed_at.append(time.monotonic())
        if self.fails:
            self.fails -= 1
            raise self.error
        free = [claim for claim in self.due if rooms.get(claim.endpoint_id, per_endpoint)]
        turns: dict[str, int] = {}
        taken = []
        for claim in free[:limit]:
            turns[claim.endpoint_id] = turns.get(claim.endpoint_id, 0) + 1
            if turns[claim.endpoint_id] <= rooms.get(claim.endpoint_id, per_endpoint):
                taken.append(claim)
                self.due.remove(claim)
        return taken

    async def wait(self) -> None:
        await self.more.wait()

    async def settle(self, settlement: Settlement) -> Settled:
        raise AssertionError("the couriers of these tests settle nothing")

    async def release(self, claims: Sequence[Claim]) -> None:
        self.released += claims


@dataclass
class Courier:
    """A courier that carries until the test lets it arrive."""

    carrying: list[Claim] = field(default_factory=list)
    carried: list[Claim] = field(default_factory=list)
    begun: int = 0
    most: int = 0
    arrive: asyncio.Event = field(default_factory=asyncio.Event)
    settle: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Outcome | None = None
    answered: dict[str, asyncio.Event] = field(default_factory=dict)
    all_carried: asyncio.Event = field(default_factory=asyncio.Event)
    expected: int = 0

    def answer(self, claim: Claim) -> None:
        """The receiver answers this one."""
        self.answered[claim.message_id].set()

    def __post_init__(self) -> None:
        self.settle.set()

    async def carry(self, claim: Claim, judged: Judged) -> None:
        self.carrying.append(claim)
        self.begun += 1
        self.most = max(self.most, len(self.carrying))
        await first_of(self.arrive.wait(), self.answered.setdefault(claim.message_id, asyncio.Event()).wait())
        self.carrying.remove(claim)
        judged(self.outcome)
        await self.settle.wait()
        self.carried.append(claim)
        if len(self.carried) == self.expected:
            self.all_carried.set()


def an_engine(
    queue: Queue,
    courier: Courier,
    *,
    capacity: int = 50,
    per_endpoint: int = 50,
    drain: timedelta = timedelta(0),
    hold: timedelta = timedelta(minutes=1),
) -> Engine:
    return Engine(
        queue=queue, carry=courier.carry, capacity=capacity, per_endpoint=per_endpoint, drain=drain, hold=hold
    )


async def until_idle() -> None:
    """Until the engine has nothing left that it could do without somebody else."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_an_engine_never_makes_more_attempts_at_once_than_its_capacity() -> None:
    queue, courier = Queue([a_claim() for _ in range(100)]), Courier(expected=100)

    async with an_engine(queue, courier, capacity=20).running():
        await until_idle()
        at_first = len(courier.carrying)
        courier.arrive.set()
        await courier.all_carried.wait()

    assert at_first == 20
    assert courier.most == 20


async def test_an_endpoint_never_has_more_than_its_share_and_gets_the_rest_later() -> None:
    crowded = [a_claim(endpoint_id="ep_crowded") for _ in range(10)]
    queue, courier = Queue([*crowded, a_claim()]), Courier(expected=11)

    async with an_engine(queue, courier, per_endpoint=3).running():
        await until_idle()
        at_first = [claim.endpoint_id for claim in courier.carrying].count(EndpointId("ep_crowded"))
        courier.arrive.set()
        await asyncio.wait_for(courier.all_carried.wait(), patient(5))

    assert at_first == 3


async def test_endpoints_that_fall_silent_together_leave_places_for_the_others() -> None:
    silent = [EndpointId(f"ep_silent_{nth}") for nth in range(10)] * 8
    queue, courier = Queue([a_claim(endpoint_id=endpoint) for endpoint in silent]), Courier()
    other = a_claim(endpoint_id=EndpointId("ep_other"))

    async with an_engine(queue, courier, capacity=40).running():
        await until_idle()
        queue.due.append(other)
        queue.more.set()
        await until_called(lambda: other in courier.carrying)
        carrying = list(courier.carrying)

    assert other in carrying
    assert len(carrying) > 20


async def test_an_engine_that_leaves_claims_nothing_more_and_ends_by_itself() -> None:
    queue, courier = Queue([]), Courier()

    def offer() -> None:
        queue.due.append(a_claim())
        queue.more.set()

    async with an_engine(queue, courier).running() as loop:
        await until_idle()
        # Comes when the engine has been told to leave and has not turned since.
        asyncio.get_running_loop().call_soon(offer)

    assert (len(queue.due), queue.released, loop.cancelled()) == (1, [], False)


async def test_leaving_finishes_what_is_in_flight() -> None:
    queue, courier = Queue([a_claim()]), Courier()

    async with an_engine(queue, courier, drain=timedelta(seconds=30)).running():
        await until_idle()
        asyncio.get_running_loop().call_later(0.01, courier.arrive.set)

    assert (len(courier.carried), queue.released) == (1, [])


async def test_leaving_gives_back_what_does_not_finish_in_time() -> None:
    claim = a_claim()
    queue, courier = Queue([claim]), Courier()

    async with an_engine(queue, courier).running():
        await until_idle()

    assert (courier.carried, queue.released) == ([], [claim])


async def test_a_lost_database_is_waited_for_longer_each_time_and_from_the_start_when_it_was_back() -> None:
    queue, courier = Queue([a_claim()], fails=2), Courier(expected=1)
    courier.arrive.set()

    with capture_logs() as lines:
        async with an_engine(queue, courier).running():
            await asyncio.wait_for(courier.all_carried.wait(), patient(5))
            courier.all_carried.clear()
            courier.expected, queue.fails = 2, 1
            queue.due.append(a_claim())
            queue.more.set()
            await asyncio.wait_for(courier.all_carried.wait(), patient(5))

    told = [line["seconds"] for line in lines if line["event"] == "claim.failed"]
    assert told == [MIN_BACKOFF_S, 2 * MIN_BACKOFF_S, MIN_BACKOFF_S]


async def test_an_error_that_nobody_foresaw_does_not_end_the_engine() -> None:
    queue, courier = Queue([a_claim()], fails=1, error=ValueError), Courier(expected=1)
    courier.arrive.set()

    async with an_engine(queue, courier).running():
        await asyncio.wait_for(courier.all_carried.wait(), patient(5))

    assert len(courier.carried) == 1


async def test_a_place_is_free_when_the_answer_is_judged_though_nothing_is_settled() -> None:
    claims = [a_claim(endpoint_id=CROWDED) for _ in range(3)]
    queue, courier = Queue(list(claims)), Courier(outcome=WELL)
    courier.settle.clear()
    courier.arrive.set()

    async with an_engine(queue, courier, per_endpoint=1).running():
        await until_called(lambda: not queue.due and not courier.carrying)
        settled, unfinished = list(courier.carried), list(queue.released)

    assert (settled, unfinished) == ([], [])
    assert {claim.message_id for claim in queue.released} == {claim.message_id for claim in claims}


async def test_no_more_attempts_begin_while_too_many_wait_to_be_settled() -> None:
    queue, courier = Queue([a_claim() for _ in range(200)]), Courier(outcome=WELL)
    courier.settle.clear()
    courier.arrive.set()

    async with an_engine(queue, courier, capacity=10).running():
        await until_called(lambda: courier.begun >= MIN_UNSETTLED)
        await until_idle()
        begun = courier.begun
        courier.settle.set()
        await until_called(lambda: len(courier.carried) == 200)

    assert MIN_UNSETTLED <= begun <= MIN_UNSETTLED + 10


async def test_a_backlog_of_an_endpoint_that_answers_at_once_is_claimed_a_stock_at_a_time() -> None:
    quick = answered(200, duration=timedelta(milliseconds=1))
    queue, courier = Queue([a_claim(endpoint_id=CROWDED) for _ in range(500)]), Courier(outcome=quick)
    courier.arrive.set()

    async with an_engine(queue, courier, capacity=200, per_endpoint=16).running():
        await until_called(lambda: len(courier.carried) == 500)

    assert len(queue.claimed_at) < 500 // DEFAULT_ATTEMPTS // 2


async def test_an_endpoint_that_answers_has_deliveries_held_ready_and_one_that_does_not_has_none() -> None:
    quick = [a_claim(endpoint_id=CROWDED) for _ in range(40)]
    silent = [a_claim(endpoint_id=SILENT) for _ in range(40)]
    queue, courier = Queue([*quick, *silent]), Courier(outcome=WELL)

    async with an_engine(queue, courier, capacity=200, per_endpoint=2).running():
        await until_called(lambda: len(courier.carrying) == 4)
        before = Counter(claim.endpoint_id for claim in queue.due)
        answering = next(claim for claim in courier.carrying if claim.endpoint_id == CROWDED)
        courier.answer(answering)
        await until_called(lambda: len(queue.due) < before.total())
        await until_idle()
        after, most = Counter(claim.endpoint_id for claim in queue.due), courier.most

    assert before == {CROWDED: 38, SILENT: 38}
    assert after[SILENT] == 38
    assert after[CROWDED] < 38 - 1
    assert most <= 4
    held = 40 - after[CROWDED] - 3
    assert len([claim for claim in queue.released if claim.endpoint_id == CROWDED]) == held + 2


async def test_what_is_held_too_long_is_given_back_without_an_attempt() -> None:
    queue, courier = Queue([a_claim(endpoint_id=CROWDED) for _ in range(40)]), Courier(outcome=WELL)

    async with an_engine(queue, courier, capacity=200, per_endpoint=1, hold=timedelta(milliseconds=100)).running():
        await until_called(lambda: len(courier.carrying) == 1)
        courier.answer(courier.carrying[0])
        await until_called(lambda: len(queue.released) > 0)
        given_back, carrying = list(queue.released), list(courier.carrying)

    assert not {claim.message_id for claim in given_back} & {claim.message_id for claim in carrying}
    assert len(carrying) == 1


async def test_one_timer_looks_after_what_is_held_however_often_that_begins_anew() -> None:
    queue, courier, loop = Queue([]), Courier(outcome=WELL), asyncio.get_running_loop()
    courier.arrive.set()

    async with (engine := an_engine(queue, courier, per_endpoint=1)).running():
        await until_idle()
        before = timers(loop, engine._release_overdue)
        for _ in range(20):
            engine.take_in([a_claim(endpoint_id=CROWDED) for _ in range(2)])
            await until_called(lambda: not courier.carrying and not engine._held)
        after = timers(loop, engine._release_overdue)

    assert (before, after) == (0, 1)


def timers(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> int:
    """How many calls of this are still to come; the engine sleeps by timers of its own."""
    scheduled = loop._scheduled  # type: ignore[attr-defined]  # a loop does not say what it will call
    return sum(not handle.cancelled() and handle._callback == callback for handle in scheduled)


async def test_what_is_leased_when_it_is_accepted_is_attempted_or_held() -> None:
    queue, courier = Queue([]), Courier(outcome=WELL)
    claims = [a_claim(endpoint_id=CROWDED) for _ in range(5)]

    async with (engine := an_engine(queue, courier, per_endpoint=2)).running():
        await until_idle()
        room = engine.room()
        engine.take_in(claims)
        await until_idle()
        begun, left = list(courier.carrying), engine.room()
        courier.arrive.set()
        await until_called(lambda: len(courier.carried) == 5)

    assert (room.per_endpoint, dict(room.rooms)) == (2, {})
    assert room.limit > 0
    assert [claim.message_id for claim in begun] == [claim.message_id for claim in claims[:2]]
    assert left.rooms[CROWDED] == 0
    assert queue.released == []


async def test_there_is_no_room_before_the_backlog_is_known_nor_while_there_is_one() -> None:
    queue, courier = Queue([a_claim() for _ in range(40)]), Courier()
    engine = an_engine(queue, courier, capacity=20)
    rooms = [engine.room().limit]

    async with engine.running():
        await until_called(lambda: len(courier.carrying) == 20)
        rooms.append(engine.room().limit)

    assert rooms == [0, 0]


async def test_an_engine_that_leaves_has_no_room_and_gives_back_what_it_is_given_unspent() -> None:
    queue, courier, late = Queue([]), Courier(), a_claim()
    engine = an_engine(queue, courier)
    rooms: list[int] = []

    def accept() -> None:
        rooms.append(engine.room().limit)
        engine.take_in([late])

    async with engine.running():
        await until_idle()
        asyncio.get_running_loop().call_soon(accept)

    assert (rooms, queue.released, courier.carrying, courier.carried) == ([0], [late], [], [])


async def test_an_engine_that_is_called_again_and_again_claims_at_a_distance() -> None:
    queue, courier = Queue([]), Courier(outcome=WELL)
    courier.arrive.set()
    queue.more.set()  # somebody always says that something is due

    async with an_engine(queue, courier).running():
        await until_called(lambda: len(queue.claimed_at) == 5)

    apart = [later - earlier for earlier, later in pairwise(queue.claimed_at)]
    assert min(apart) >= CLAIM_DELAY_S * 0.9


async def test_the_distance_is_longer_while_there_is_enough_to_do() -> None:
    queue, courier = Queue([a_claim() for _ in range(MIN_CLAIM_ROWS)]), Courier()
    queue.more.set()

    async with an_engine(queue, courier, capacity=200).running():
        await until_called(lambda: len(courier.carrying) == MIN_CLAIM_ROWS)
        begun = len(queue.claimed_at)
        await until_called(lambda: len(queue.claimed_at) == begun + 3)

    apart = [later - earlier for earlier, later in pairwise(queue.claimed_at[begun - 1 :])]
    assert min(apart) >= BUSY_CLAIM_DELAY_S * 0.9


async def test_a_place_that_was_the_last_goes_to_whoever_waits() -> None:
    first, other = a_claim(endpoint_id=CROWDED), a_claim()
    queue, courier = Queue([]), Courier(outcome=WELL)

    async with (engine := an_engine(queue, courier, capacity=1)).running():
        await until_idle()
        engine.take_in([first, other])
        await until_called(lambda: courier.carrying == [first])
        courier.answer(first)
        await until_called(lambda: courier.carrying == [other])

    assert queue.released == [other], "its attempt was not over"


async def test_a_stock_is_leased_at_the_accept_for_a_burst_and_no_further() -> None:
    quick = answered(200, duration=timedelta(milliseconds=1))
    queue, courier, first = Queue([]), Courier(outcome=quick), a_claim(endpoint_id=CROWDED)

    async with (engine := an_engine(queue, courier, capacity=200, per_endpoint=1)).running():
        await until_idle()
        engine.take_in([first])
        await until_idle()
        courier.answer(first)
        await until_called(lambda: len(courier.carried) == 1)
        engine.take_in([a_claim(endpoint_id=CROWDED) for _ in range(MAX_BURST)])
        before = engine.room().rooms[CROWDED]
        engine.take_in([a_claim(endpoint_id=CROWDED)])
        after = engine.room().rooms[CROWDED]

    assert before > 0
    assert after == 0


async def until_called(holds: Callable[[], bool]) -> None:
    """Until it holds."""
    async with asyncio.timeout(patient(10)):
        while not holds():  # noqa: ASYNC110  # the engine's doing
            await asyncio.sleep(0.001)
