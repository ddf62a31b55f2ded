"""Rounds of upkeep end when they are told to."""

import asyncio
from datetime import timedelta

from service.delivery.upkeep import every
from tests.support.patience import patient


async def test_rounds_end_though_the_work_under_way_leaves_nothing_of_a_cancellation() -> None:
    began = asyncio.Event()
    rounds: list[int] = []

    async def work() -> None:
        rounds.append(len(rounds))
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async with asyncio.timeout(patient(30)):
        async with every(timedelta(hours=1), work):
            await began.wait()

    assert rounds == [0]
