"""Moves organisations between the configured databases: begun by a command, gone on with by whoever finds one.

The mover holds a lock in the database that is home, as long as its connection lasts. A `serve` looks every few seconds
for a move that nobody goes on with.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import asyncpg
import structlog

from service.adapters.postgres.moves.connection import MoversConnection
from service.adapters.postgres.moves.journal import Moves, open_moves
from service.adapters.postgres.moves.source import PostgresMoveSource
from service.adapters.postgres.moves.target import PostgresMoveTarget
from service.adapters.postgres.repositories.homes import move_in
from service.adapters.postgres.server import schema
from service.adapters.postgres.server.database import open_database
from service.adapters.postgres.server.presence import are_one
from service.application.moves import Saga
from service.application.turns import first_of, take_turns
from service.domain import retries
from service.domain.errors import Unavailable
from service.domain.ids import OrgId
from service.domain.moves import Move, MoveTaken
from service.runtime.database import named, of_one
from service.runtime.homes import known_home
from service.settings import Settings

LOOK_EVERY_S = 5.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.5, 5.0

_log = structlog.stdlib.get_logger("relevo.moves")

Told = Callable[[Move], None]
Waits = Callable[[str], None]


class Immovable(Exception):
    """The organisation cannot be moved there now; the text says why."""


async def move(settings: Settings, org_id: OrgId, target: str, *, told: Told, waits: Waits) -> None:
    """Begin the move, or find it, and go on with it to its end. Raises Immovable, Unavailable, DATABASE_UNUSABLE,
    DATABASE_UNAVAILABLE."""
    for name, urls in named(settings).items():
        with of_one(name):
            await schema.check(urls.direct)
    begin = partial(_begin, settings, org_id, target)
    await _to_the_end(settings, org_id, told=told, waits=waits, begin=begin)


async def cancel(settings: Settings, org_id: OrgId) -> None:
    """Have the organisation's move undone. Raises Immovable, Unavailable."""
    async with open_moves(_home(settings)) as moves:
        if not await moves.cancel(org_id):
            move = await moves.current()
            if move is None or move.org_id != org_id:
                raise Immovable(f"{org_id} is not being moved.")
            raise Immovable(f"{org_id} lives in {move.target} already; what is left in {move.source} is being removed.")


async def current(settings: Settings) -> Move | None:
    """The move that is under way. Raises Unavailable."""
    async with open_moves(_home(settings)) as moves:
        return await moves.current()


async def follow(settings: Settings, org_id: OrgId, *, told: Told, waits: Waits) -> None:
    """Return when the organisation's move has ended: go on with it, or watch who does. `waits` is called with what is
    waited for, if a database is away."""
    await _to_the_end(settings, org_id, told=told, waits=waits)


async def _to_the_end(
    settings: Settings,
    org_id: OrgId,
    *,
    told: Told,
    waits: Waits,
    begin: Callable[[Moves], Awaitable[None]] | None = None,
) -> None:
    pauses = retries.pauses(MIN_PAUSE_S, longest=MAX_PAUSE_S)
    while True:
        try:
            async with open_moves(_home(settings)) as moves:
                is_mover = await moves.take()
                if begin is not None:  # as the mover, so that no server takes it
                    await begin(moves)
                    begin = None
                move = await moves.current()
                if move is None or move.org_id != org_id:
                    return None
                if is_mover:
                    return await _go_on(settings, moves, move, told=told)
                told(move)
            pauses = retries.pauses(MIN_PAUSE_S, longest=MAX_PAUSE_S)
        except (Unavailable, MoveTaken) as error:
            if begin is not None:
                raise
            reason = error.__cause__ or error
            waits(f"the move waits: {' '.join(str(reason).split()) or type(reason).__name__}")
        await asyncio.sleep(next(pauses))


async def _begin(settings: Settings, org_id: OrgId, target: str, moves: Moves) -> None:
    found = await moves.current()
    if found is not None and (found.org_id, found.target) == (org_id, target):
        return
    source = await known_home(settings, org_id)
    if source is None:
        raise Immovable(f"{org_id} lives nowhere yet. Give it a database by `relevo tenants place {org_id} {target}`.")
    if source == target:
        raise Immovable(f"{org_id} lives in {target}.")
    async with (
        open_database(named(settings)[source].direct) as opened,
        open_database(named(settings)[target].direct) as wanted,
    ):
        async with opened.pool.acquire() as some, wanted.pool.acquire() as other:
            if await are_one(some, other):
                raise Immovable(f"{source} and {target} are one database: give one another in RELEVO_DATABASES.")
        await move_in(opened.pool, org_id)  # it may have come before there were several, and not since
    if not await moves.begin(org_id, source=source, target=target):
        other = await moves.current()
        raise Immovable(_is_under_way(other) if other else "Another move has just ended. Run this again.")


@asynccontextmanager
async def finding_moves(settings: Settings, pool: Callable[[], asyncpg.Pool]) -> AsyncIterator[None]:
    """Go on with a move that nobody goes on with, while the block lasts. `pool` gives connections to home, or raises
    Unavailable."""
    leaving = asyncio.Event()

    async def look() -> None:
        if await _is_one(pool):
            await _adopt(settings)
        await first_of(leaving.wait(), asyncio.sleep(LOOK_EVERY_S))

    looking = asyncio.create_task(take_turns(look, draining=leaving, log=_log, failure="move.interrupted"))
    try:
        yield
    finally:
        leaving.set()
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _is_one(pool: Callable[[], asyncpg.Pool]) -> bool:
    try:
        return await Moves(pool()).current() is not None
    except Unavailable:
        return False  # home is away, which others tell of


async def _adopt(settings: Settings) -> None:
    """Go on with the move, unless somebody else does."""
    async with open_moves(_home(settings)) as moves:
        if not await moves.take():
            return
        move = await moves.current()
        if move is not None:
            await _go_on(settings, moves, move, told=_tell)


async def _go_on(settings: Settings, moves: Moves, move: Move, *, told: Told) -> None:
    """Go on with the move to its end, as the mover."""
    mover = await moves.claim(move.org_id)
    urls = named(settings)
    source = MoversConnection(urls[move.source].direct, move.org_id, mover)
    target = MoversConnection(urls[move.target].direct, move.org_id, mover)
    try:
        saga = Saga(
            moves.journal(move.org_id, mover),
            PostgresMoveSource(source, move.org_id),
            PostgresMoveTarget(target, move.org_id),
            told=told,
        )
        await saga.run()
    finally:
        source.close()
        target.close()


def _home(settings: Settings) -> str:
    home, *_ = named(settings).values()
    return home.direct


def _tell(move: Move) -> None:
    _log.info("move.step", org_id=move.org_id, source=move.source, target=move.target, step=str(move.step))


def _is_under_way(move: Move) -> str:
    return f"{move.org_id} is being moved from {move.source} to {move.target} ({move.step}); one at a time."
