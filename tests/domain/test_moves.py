"""Until when a move may be undone."""

from datetime import UTC, datetime

import pytest

from service.domain.ids import OrgId
from service.domain.moves import Move, MoveStep


@pytest.mark.parametrize(
    ("step", "may"),
    [
        (MoveStep.COPYING, True),
        (MoveStep.DRAINING, True),
        (MoveStep.STOPPING, True),
        (MoveStep.RESUMING, False),
        (MoveStep.REMOVING, False),
        (MoveStep.UNDOING, False),
    ],
)
def test_a_move_may_be_undone_until_the_organisation_lives_elsewhere(step: MoveStep, may: bool) -> None:
    move = Move(org_id=OrgId("org_x"), source="eu-1", target="eu-2", step=step, started_at=datetime.now(UTC))

    assert move.may_be_undone is may
