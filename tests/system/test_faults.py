"""The short version of `make test-faults`: what is accepted is kept, whatever breaks."""

import os
import random
from collections.abc import AsyncIterator

import pytest

from tests.faults.cases import FAULTS
from tests.faults.site import Site, open_site, suffer

MOST_MEMORY = 400  # MB, of any process
SOON = 40.0  # seconds
MARGIN = 2.0  # seconds: what a dead process held is taken over after so many and the attempt's one

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with open_site(margin=MARGIN) as site:
        yield site


@pytest.mark.parametrize("name", ["everything-killed", "database-killed"])
async def test_nothing_that_was_accepted_is_lost_to(site: Site, name: str) -> None:
    seed = os.environ.get("SEED", random.randrange(2**32))
    print(f"SEED={seed}")  # noqa: T201  # pytest shows it with a failure

    finding = await suffer(FAULTS[name], site, chance=random.Random(f"{seed} {name}"))

    assert finding.hit.count > 0
    assert finding.account.balanced
    assert finding.trespasses == 0
    assert finding.recovery < SOON
    assert finding.peak < MOST_MEMORY
