"""Many callers, one commit, without a database: the batches, the bound, the bad row and the end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest

from service.adapters.postgres.server.group_commit import ENOUGH_FOR_ANOTHER, ENOUGH_TO_COMMIT, GroupCommit
from service.domain.errors import Busy, Unavailable
from tests.support.patience import patient


@dataclass
class Store:
    """Keeps batches; waits for the test before each commit, refuses what is negative, and may be away."""

    batches: list[list[int]] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    may_commit: asyncio.Event = field(default_factory=asyncio.Event)
    away: bool = False
    deadlocks: int = 0

    async def commit(self, items: Sequence[int]) -> list[str]:
        self.begun.append(len(items))
        await self.may_commit.wait()
        if self.away:
            raise Unavailable
        if self.deadlocks:
            self.deadlocks -= 1
            raise asyncpg.DeadlockDetectedError
        if min(items) < 0:
            raise ValueError(items)
        self.batches.append(list(items))
        return [str(item) for item in items]


def a_group(
    store: Store, *, most_waiting: int = 100, largest_batch: int = 10, linger: float = 0.0
) -> GroupCommit[int, str]:
    return GroupCommit(store.commit, most_waiting=most_waiting, largest_batch=largest_batch, linger=linger)


async def submitted(group: GroupCommit[int, str], items: Sequence[int]) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(group.submit(item)) for item in items]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_a_batch_is_what_arrived_while_the_one_before_was_committing() -> None:
    store = Store()
    group = a_group(store)

    async with group.running():
        first = await submitted(group, [1])
        rest = await submitted(group, [2, 3, 4])
        store.may_commit.set()
        results = await asyncio.gather(*first, *rest)

    assert results == ["1", "2", "3", "4"]
    assert store.batches == [[1], [2, 3, 4]]


async def test_a_second_commit_begins_beside_the_first_once_it_is_worth_it_and_a_third_never() -> None:
    store = Store()
    group = GroupCommit(store.commit, most_waiting=1000, largest_batch=500, at_once=2)

    async with group.running():
        tasks = await submitted(group, [0])
        tasks += await submitted(group, range(1, ENOUGH_FOR_ANOTHER))
        too_few = list(store.begun)
        tasks += await submitted(group, [ENOUGH_FOR_ANOTHER])
        enough = list(store.begun)
        tasks += await submitted(group, range(100, 200))
        both_at_work = list(store.begun)
        store.may_commit.set()
        results = await asyncio.gather(*tasks)

    assert too_few == [1]
    assert enough == both_at_work == [1, ENOUGH_FOR_ANOTHER]
    assert store.begun == [1, ENOUGH_FOR_ANOTHER, 100]
    assert results == [str(item) for item in [*range(ENOUGH_FOR_ANOTHER + 1), *range(100, 200)]]


async def test_a_bad_row_fails_its_own_caller_alone() -> None:
    store = Store()
    group = a_group(store)

    async with group.running():
        tasks = await submitted(group, [0, 1, -2, 3])
        store.may_commit.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [result if isinstance(result, str) else type(result) for result in results] == ["0", "1", ValueError, "3"]


async def test_whoever_comes_when_it_is_full_is_turned_away() -> None:
    store = Store()
    group = a_group(store, most_waiting=3)

    async with group.running():
        under_way = await submitted(group, [0])
        waiting = await submitted(group, [1, 2, 3])
        fullness = group.fullness
        with pytest.raises(Busy):
            await group.submit(4)
        store.may_commit.set()
        await asyncio.gather(*under_way, *waiting)

    assert fullness == 1.0


async def test_a_lost_database_fails_the_batch_without_trying_each_row() -> None:
    store = Store(away=True)
    group = a_group(store)
    store.may_commit.set()

    async with group.running():
        results = await asyncio.gather(*await submitted(group, [1, 2, 3]), return_exceptions=True)

    assert [type(result) for result in results] == [Unavailable] * 3


@pytest.mark.parametrize("items", [[1], [1, 2, 3]])
async def test_a_batch_that_loses_a_deadlock_is_tried_again_as_it_is(items: list[int]) -> None:
    store = Store(deadlocks=2)
    group = a_group(store)
    store.may_commit.set()

    async with group.running():
        results = await asyncio.gather(*await submitted(group, items))

    assert results == [str(item) for item in items]
    assert store.batches == [items]


async def test_an_end_does_not_wait_for_a_database_that_hangs() -> None:
    store = Store()
    group = GroupCommit(store.commit, most_waiting=10, largest_batch=1, farewell=0.05)

    async with asyncio.timeout(patient(5)), group.running():
        tasks = await submitted(group, [1, 2, 3])
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [Unavailable] * 3


async def test_what_was_submitted_before_the_end_is_committed() -> None:
    store = Store()
    group = a_group(store)

    async with group.running():
        tasks = await submitted(group, [1, 2])
        asyncio.get_running_loop().call_later(0.01, store.may_commit.set)

    assert await asyncio.gather(*tasks) == ["1", "2"]
    with pytest.raises(Unavailable):
        await group.submit(3)


async def test_a_caller_who_gives_up_does_not_stop_the_others() -> None:
    store = Store()
    group = a_group(store)

    async with group.running():
        impatient, patient = await submitted(group, [1, 2])
        impatient.cancel()
        store.may_commit.set()
        result = await patient

    assert result == "2"


async def test_a_group_that_lingers_takes_what_comes_within_that_time_into_the_batch() -> None:
    store = Store()
    store.may_commit.set()
    group = a_group(store, linger=0.05)

    async with group.running():
        first = await submitted(group, [1])
        rest = await submitted(group, [2, 3])
        await asyncio.gather(*first, *rest)

    assert store.batches == [[1, 2, 3]]


@pytest.mark.parametrize("count", [ENOUGH_TO_COMMIT, 1], ids=["enough to commit", "the end"])
async def test_a_group_lingers_no_longer_than_until_there_is_enough_or_the_end(count: int) -> None:
    store = Store()
    store.may_commit.set()
    group = a_group(store, largest_batch=100, linger=patient(60))

    async with asyncio.timeout(patient(10)), group.running():
        tasks = await submitted(group, range(count))
        if count > 1:
            await asyncio.gather(*tasks)

    assert store.batches == [list(range(count))]
