"""The move of an organisation from one database to another: a saga, each step of which is recorded before it begins.

Whoever finds a move goes on with it, from wherever it was left. Until the switch, which is one transaction in the
database that is home, a move that was left or cancelled is undone step by step; after it there is no way back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from service.application.ports.moves import Changes, MoveJournal, MoveSource, MoveTarget
from service.domain import retries
from service.domain.moves import Move, MoveStep

COPIED = ""  # the cursor after the first copy
FEW_CHANGES = 200  # rows that are copied within a small part of a second
# How long intake may be stopped before the switch; otherwise it goes on, and the mover tries again later.
MAX_STOP_S = 1.5
QUIET_POLL_S = 0.05
MIN_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0  # between two tries to stop

HEARD_OF_EVERY_S = 2.0
BREAKS_OFF_S = 1.0

Done = TypeVar("Done")
Told = Callable[[Move], None]


class Saga:
    """Goes on with the move that the journal tells of. `told` is called with each step that it takes."""

    def __init__(self, journal: MoveJournal, source: MoveSource, target: MoveTarget, *, told: Told) -> None:
        self._journal = journal
        self._source = source
        self._target = target
        self._told = told
        self._pauses: Iterator[float] = retries.pauses(MIN_PAUSE_S, longest=MAX_PAUSE_S)

    async def run(self) -> None:
        """Return when the move has ended, one way or the other. Raises Unavailable, MoveTaken; run another one then,
        over new connections."""
        move = await self._journal.current()
        if move is not None and move.step in {MoveStep.DRAINING, MoveStep.STOPPING}:
            # It was left in the middle. Nobody knows for how long, so the organisation is served as before first.
            await self._of(self._source.stay())
            await self._journal.enter(MoveStep.COPYING)
        while (move := await self._journal.current()) is not None:
            if move.cancelled and move.may_be_undone:
                await self._journal.enter(MoveStep.UNDOING)
                continue
            self._told(move)
            await self._take(move)

    async def _take(self, move: Move) -> None:
        match move.step:
            case MoveStep.COPYING:
                await self._copy(move)
            case MoveStep.DRAINING:
                await self._drain()
            case MoveStep.STOPPING:
                await self._stop()
            case MoveStep.RESUMING:
                await self._resume()
            case MoveStep.REMOVING:
                await self._remove()
            case MoveStep.UNDOING:
                await self._undo()

    async def _copy(self, move: Move) -> None:
        await self._of(self._target.expect(await self._of(self._source.weeks())))
        await self._of(self._source.watch())
        cursor = move.cursor
        while cursor != COPIED:
            rows = await self._of(self._source.rows(cursor))
            await self._of(self._target.take(rows))
            cursor = COPIED if rows.cursor is None else rows.cursor
            await self._journal.progress(cursor, copied=len(rows.rows))
            if await self._is_cancelled():
                return
        while await self._catch_up() > FEW_CHANGES:
            if await self._is_cancelled():
                return
        await self._journal.enter(MoveStep.DRAINING)

    async def _drain(self) -> None:
        """Deliveries that are on their way end; nothing new is sent. Messages are taken in meanwhile."""
        await self._of(self._source.leave())
        while not (await self._of(self._source.is_quiet()) and await self._catch_up() <= FEW_CHANGES):
            if await self._is_cancelled():
                return
            await asyncio.sleep(QUIET_POLL_S)
        await self._journal.enter(MoveStep.STOPPING)

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout(MAX_STOP_S):
                await self._of(self._source.stop())
                quiet = await self._of(self._source.is_quiet())
                while quiet and await self._catch_up():
                    pass
        except TimeoutError:
            quiet = False
        if quiet:
            await self._journal.switch()
            return
        await self._of(self._source.leave())
        await self._journal.enter(MoveStep.DRAINING)
        await asyncio.sleep(next(self._pauses))

    async def _resume(self) -> None:
        await self._of(self._target.move_in())
        await self._of(self._source.be_gone())
        await self._of(self._target.resume())
        await self._journal.enter(MoveStep.REMOVING)

    async def _remove(self) -> None:
        await self._of(self._source.unwatch())
        await self._of(self._source.remove())
        await self._journal.end()

    async def _undo(self) -> None:
        await self._of(self._source.stay())
        await self._of(self._source.unwatch())
        await self._of(self._target.remove())
        await self._of(self._target.forget())
        await self._journal.end()

    async def _of(self, work: Coroutine[Any, Any, Done]) -> Done:
        """The result of work in one of the databases. However long it takes, home hears of this mover meanwhile, and
        whoever is heard of no more loses the move."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=HEARD_OF_EVERY_S)
                if not task.done():
                    await self._journal.current()
        finally:
            if not task.done():  # ended before the connection is used again, unless it hangs
                task.cancel()
                await asyncio.wait({task}, timeout=BREAKS_OFF_S)
        return await task

    async def _catch_up(self) -> int:
        """Copy what has changed; returns how many changes that were."""
        changes: Changes = await self._of(self._source.changes())
        if changes.ids:
            await self._of(self._target.apply(changes))
            await self._of(self._source.forget(changes))
        return len(changes.ids)

    async def _is_cancelled(self) -> bool:
        move = await self._journal.current()
        return move is None or move.cancelled
