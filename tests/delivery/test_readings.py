"""What becomes of a claimed destination whose database stays away."""

import asyncio
from datetime import timedelta
from typing import Any, cast

from structlog.testing import capture_logs

from service.application.ports.ordered import OrderedClaim
from service.delivery.ordered import OrderedReader
from service.domain.errors import Unavailable
from tests.support.kept import an_application, an_ordered_destination
from tests.support.patience import patient


class Away:
    """A queue that is lost after it has given one destination away."""

    def __init__(self) -> None:
        self.claims = [OrderedClaim(destination=an_ordered_destination(an_application()), secrets=(), lease="l")]
        self.looked_again = asyncio.Event()
        self.releases = 0

    async def claim(self, *, limit: int) -> list[OrderedClaim]:
        if not self.claims:
            self.looked_again.set()
        return [self.claims.pop()] if self.claims and limit else []

    async def read(self, *_: object, **__: object) -> Any:
        raise Unavailable from OSError()

    async def release(self, *_: object) -> None:
        self.releases += 1
        raise Unavailable from OSError()

    async def wait(self) -> None:
        await asyncio.sleep(0.01)


async def test_a_lease_that_cannot_be_given_back_for_all_its_time_is_left_to_end_and_told() -> None:
    queue, nothing = Away(), cast(Any, None)
    reader = OrderedReader(
        queue=cast(Any, queue),
        batches=nothing,
        clock=nothing,
        lease=timedelta(seconds=0.15),
        drain=timedelta(seconds=1),
    )

    with capture_logs() as lines:
        async with reader.running(), asyncio.timeout(patient(5)):
            while not any(line["event"] == "destination.not_released" for line in lines):  # noqa: ASYNC110  # the log
                await asyncio.sleep(0.01)

    assert [line["event"] for line in lines] == ["destination.postponed", "destination.not_released"]
    assert [line["reason"] for line in lines] == ["OSError", "OSError"]
    assert queue.releases > 1
    assert queue.looked_again.is_set()
