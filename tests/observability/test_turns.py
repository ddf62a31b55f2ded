"""Places that tenants share: in turn, and one is always left for somebody else."""

import asyncio

import pytest

from service.domain.errors import Busy
from service.offloading.turns import MAX_QUEUED_CALLS_PER_TENANT, Turns


async def _entered(turns: Turns, tenant: str | None) -> "asyncio.Task[None]":
    task = asyncio.create_task(turns.enter(tenant))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_a_tenant_never_has_the_last_place() -> None:
    turns = Turns(2)

    first, second, other = [await _entered(turns, tenant) for tenant in ("a", "a", "b")]

    assert (first.done(), second.done(), other.done()) == (True, False, True)
    assert turns.taken == 2
    second.cancel()


async def test_whoever_waits_is_served_in_turn_however_much_another_has_in_line() -> None:
    turns, served = Turns(1), []

    async def take(tenant: str) -> None:
        await turns.enter(tenant)
        served.append(tenant)
        await asyncio.sleep(0)
        turns.leave(tenant)

    await asyncio.gather(*(take(tenant) for tenant in "aaaaaabbc"))

    assert "".join(served) == "aabcabaaa"
    assert turns.taken == 0


async def test_what_is_done_for_nobody_in_particular_has_every_place() -> None:
    turns = Turns(2)

    tasks = [await _entered(turns, None) for _ in range(3)]

    assert [task.done() for task in tasks] == [True, True, False]
    tasks[2].cancel()


async def test_the_line_has_an_end_for_each_and_for_all() -> None:
    turns = Turns(1, most_waiting=MAX_QUEUED_CALLS_PER_TENANT + 1)
    await turns.enter("a")

    waiting = [asyncio.create_task(turns.enter("a")) for _ in range(MAX_QUEUED_CALLS_PER_TENANT)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await turns.enter("a")
    other = await _entered(turns, "b")
    with pytest.raises(Busy):
        await turns.enter("c")

    assert not other.done()
    for task in (*waiting, other):
        task.cancel()


async def test_whoever_gives_up_leaves_the_line_and_no_place_is_lost() -> None:
    turns = Turns(1)
    await turns.enter("a")
    gone, next_one = [await _entered(turns, tenant) for tenant in ("b", "c")]

    gone.cancel()
    turns.leave("a")
    next_one.cancel()  # at the moment at which the place was given to it
    await asyncio.gather(gone, next_one, return_exceptions=True)

    await asyncio.wait_for(turns.enter("d"), 20)
    assert turns.taken == 1
