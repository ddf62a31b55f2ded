"""Moves of organisations from one database to another: the steps, and which of them may still be undone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.ids import OrgId


class MoveStep(StrEnum):
    """Where a move stands."""

    COPYING = "copying"  # what the organisation has is copied, while it is served
    DRAINING = "draining"  # nothing of it is delivered; messages are taken in
    STOPPING = "stopping"  # nothing is taken in either, until it is served in the other database
    RESUMING = "resuming"  # it lives in the other database; deliveries go on
    REMOVING = "removing"  # what it has left behind is deleted
    UNDOING = "undoing"  # the copies are deleted; it stays


# What an organisation owes is due that much later while it moves, so that nobody takes it for due; and it is known by
# being due later than in half of that. A number of days is the same time forth and back, which years are not.
SET_ASIDE = timedelta(days=365_250)
BEFORE_THE_SWITCH = frozenset({MoveStep.COPYING, MoveStep.DRAINING, MoveStep.STOPPING})


class MoveTaken(Exception):
    """Another mover goes on with the move, or it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An organisation's move from the database `source` to `target`, by name. `cursor` is how far the first copy is,
    None at its beginning and empty after it; `copied` counts its rows."""

    org_id: OrgId
    source: str
    target: str
    step: MoveStep
    cancelled: bool = False
    cursor: str | None = None
    copied: int = 0
    started_at: datetime

    @property
    def may_be_undone(self) -> bool:
        """Whether it has not switched yet."""
        return self.step in BEFORE_THE_SWITCH
