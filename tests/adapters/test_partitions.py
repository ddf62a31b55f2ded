"""Which offset of a partition may be committed: the one before which everything fetched is done."""

import asyncio

from service.adapters.sources.partitions import Partitions
from tests.support.patience import patient


def fetched(*places: tuple[int, int]) -> Partitions:
    partitions = Partitions()
    for partition, offset in places:
        partitions.fetched(partition, offset)
    return partitions


def test_only_what_has_nothing_undone_before_it_is_committable() -> None:
    partitions = fetched((0, 4), (0, 5), (0, 9), (1, 0))

    found = []
    for place in ((0, 5), (0, 4), (1, 0), (0, 9)):
        partitions.done(*place)
        found.append(partitions.committable())

    assert found == [{}, {0: 6}, {1: 1}, {0: 10}]


def test_what_was_given_up_is_committed_no_more() -> None:
    partitions = fetched((0, 4), (1, 0))
    partitions.give_up({0})
    partitions.done(0, 4)
    partitions.done(1, 0)

    assert partitions.committable() == {1: 1}


async def test_whoever_gives_up_a_partition_waits_for_what_is_under_way() -> None:
    partitions = fetched((0, 4), (1, 0))
    waiting = asyncio.create_task(partitions.until_done({0}, within=patient(60)))
    await asyncio.sleep(0)
    partitions.done(0, 4)
    partitions.committable()
    before = waiting.done()
    partitions.committed()

    async with asyncio.timeout(patient(5)):
        await waiting

    assert not before


async def test_but_not_for_ever() -> None:
    async with asyncio.timeout(patient(5)):
        await fetched((0, 4)).until_done({0, 7}, within=0.01)
