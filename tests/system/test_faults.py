"""The short version of `make test-faults`: what is accepted is kept, whatever breaks."""

import os
import random

import pytest

from tests.faults.cases import FAULTS
from tests.faults.site import suffer

MOST_MEMORY = 400  # MB, of any process
SOON = 40.0  # seconds

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("name", ["everything-killed", "database-killed"])
async def test_nothing_that_was_accepted_is_lost_to(name: str) -> None:
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")  # noqa: T201  # pytest shows it with a failure

    finding = await suffer(FAULTS[name], seed=seed)

    account = finding.account
    assert account.lost == 0
    assert account.accepted == account.delivered + account.exhausted + account.scheduled
    assert finding.recovery < SOON
    assert finding.peak < MOST_MEMORY
