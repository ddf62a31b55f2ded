"""What a move of an organisation needs of the three databases: home, the one that it leaves, and the one it comes to.

Every call may raise Unavailable, and MoveTaken once another mover goes on with the move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.domain.moves import Move, MoveStep


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedRows:
    """Some rows of one table. `cursor` says where the next ones begin, None after the last of the last table."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Rows as they are now that have changed, by table, parents first; and the keys of those that are there no more.
    `ids` are what was read of the list of changes."""

    ids: Sequence[int] = ()
    rows: Sequence[MovedRows] = ()
    gone: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)


class MoveJournal(Protocol):
    """The record of the move, in the database that is home."""

    async def current(self) -> Move | None:
        """The move as it stands; None once it has ended."""
        ...

    async def progress(self, cursor: str | None, *, copied: int) -> None:
        """The first copy is at `cursor`, `copied` rows further."""
        ...

    async def enter(self, step: MoveStep) -> None:
        """The move stands there from now on."""
        ...

    async def switch(self) -> bool:
        """In one transaction: the organisation lives in the other database, and the step is RESUMING. False, without a
        change, if the move was cancelled."""
        ...

    async def end(self) -> None:
        """Forget the move."""
        ...


class MoveSource(Protocol):
    """The database that the organisation leaves."""

    async def watch(self) -> None:
        """List every change of what the organisation has, from now on."""
        ...

    async def unwatch(self) -> None:
        """List changes no more, and forget those that are listed."""
        ...

    async def weeks(self) -> Sequence[str]:
        """The names of partitions, which the other database needs as well."""
        ...

    async def rows(self, cursor: str | None) -> MovedRows:
        """The rows from the cursor on."""
        ...

    async def changes(self) -> Changes:
        """What has changed and was not yet forgotten."""
        ...

    async def forget(self, changes: Changes) -> None:
        """These are copied."""
        ...

    async def leave(self) -> None:
        """Take messages in, but deliver nothing of what is not yet on its way."""
        ...

    async def is_quiet(self) -> bool:
        """Set aside what is owed, and say whether nothing of it is on its way any more."""
        ...

    async def stop(self) -> None:
        """Take nothing in, and return when nothing is being taken in."""
        ...

    async def stay(self) -> None:
        """Live here, deliver what was set aside, and tell everybody that it is due."""
        ...

    async def be_gone(self) -> None:
        """Live here no more."""
        ...

    async def remove(self) -> None:
        """Delete what is left."""
        ...


class MoveTarget(Protocol):
    """The database that the organisation comes to. What arrives there is set aside, so that nobody works on it."""

    async def expect(self, weeks: Sequence[str]) -> None:
        """Let nobody but this move bring anything of the organisation's."""
        ...

    async def take(self, rows: MovedRows) -> None:
        """Store these rows in place of those that have arrived before."""
        ...

    async def apply(self, changes: Changes) -> None:
        """The same for changes, all or none."""
        ...

    async def move_in(self) -> None:
        """Live here from now on, and take messages in."""
        ...

    async def resume(self) -> None:
        """Deliver what was set aside, and tell everybody that it is due."""
        ...

    async def remove(self) -> None:
        """Delete what has arrived."""
        ...

    async def forget(self) -> None:
        """Expect it no more."""
        ...
