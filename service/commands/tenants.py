"""`relevo tenants`: which of several databases each organisation lives in."""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from service.commands.streams import say

if TYPE_CHECKING:
    from service.settings import Settings

_ONE_DATABASE = "There is one database, in which every organisation lives. RELEVO_DATABASES names several."


def take_arguments(parser: ArgumentParser) -> None:
    """The command's own commands."""
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="part")
    parts.add_parser("list", help="print each organisation, its database, and since when it has had one")
    placing = parts.add_parser(
        "place",
        help="give a new organisation a database, before its first request does",
        epilog="Without this, an organisation is given the database in which the fewest live.",
    )
    placing.add_argument("org_id", help="the organisation")
    placing.add_argument("database", help="a name of RELEVO_DATABASES")
    moving = parts.add_parser(
        "move",
        help="move an organisation to another database, while it is served",
        epilog="If this command ends early, a server goes on with the move; running it again follows it.",
    )
    moving.add_argument("org_id", help="the organisation")
    whither = moving.add_mutually_exclusive_group(required=True)
    whither.add_argument("database", nargs="?", help="a name of RELEVO_DATABASES")
    whither.add_argument("--cancel", action="store_true", help="undo the move, as long as it has not switched")


def tenants(chosen: Namespace) -> int:
    """List where organisations live, place one, or move one."""
    from service.commands.execution import CommandUnusable
    from service.runtime.configuration import configured

    settings = configured(os.environ)
    if not settings.several:
        raise CommandUnusable(_ONE_DATABASE)
    if chosen.part == "list":
        return _list(settings)
    if chosen.part == "place":
        return _place(settings, chosen.org_id, chosen.database)
    return _move(settings, chosen.org_id, chosen.database)


def _list(settings: "Settings") -> int:
    from service.commands.execution import run
    from service.runtime.homes import listed
    from service.runtime.moves import current

    async def work() -> None:
        homes = await listed(settings)
        move = await current(settings)
        for home in homes:
            moves = move is not None and move.org_id == home.org_id
            to = f"\tmoves from {move.source} to {move.target}: {move.step}" if move is not None and moves else ""
            say(f"{home.org_id}\t{home.database}\t{home.placed_at:%Y-%m-%dT%H:%M:%SZ}{to}")

    return run(work)


def _place(settings: "Settings", org_id: str, database: str) -> int:
    from service.commands.execution import CommandUnusable, run
    from service.domain import ids
    from service.runtime.homes import place

    _check_names(settings, org_id, database)

    async def work() -> None:
        lives_in = await place(settings, ids.OrgId(org_id), database)
        if lives_in != database:
            raise CommandUnusable(f"{org_id} lives in {lives_in}, and stays there.")
        say(f"{org_id} lives in {database}.")

    return run(work)


def _move(settings: "Settings", org_id: str, database: str | None) -> int:
    """Begin a move, or cancel one; then go on with it to its end. Each step is written when it begins."""
    from service.commands.execution import CommandFailed, CommandUnusable, run, tell
    from service.domain import ids
    from service.domain.errors import Unavailable
    from service.domain.moves import Move
    from service.runtime.homes import known_home
    from service.runtime.moves import Immovable, cancel, follow, move

    _check_names(settings, org_id, database)
    organisation, told = ids.OrgId(org_id), [""]

    def follow_steps(stands: Move) -> None:
        if told[0] != stands.step:
            told[0] = stands.step
            say(f"{org_id}: {stands.step}")

    async def work() -> None:
        try:
            if database is None:
                await cancel(settings, organisation)
                await follow(settings, organisation, told=follow_steps, waits=tell)
            else:
                await move(settings, organisation, database, told=follow_steps, waits=tell)
        except Immovable as error:
            raise CommandUnusable(str(error)) from None
        except Unavailable as error:
            raise CommandFailed(f"The database that is home cannot be reached: {error.__cause__ or error}") from None
        say(f"{org_id} lives in {await known_home(settings, organisation)}.")

    return run(work)


def _check_names(settings: "Settings", org_id: str, database: str | None) -> None:
    from service.commands.execution import CommandUnusable
    from service.commands.tokens import no_organisation
    from service.domain import ids

    names = [one.name for one in settings.storage.databases]
    if database is not None and database not in names:
        raise CommandUnusable(f"{database!r} is not a database of RELEVO_DATABASES, which are {', '.join(names)}.")
    if not ids.is_organisation(org_id):
        raise CommandUnusable(no_organisation(org_id))
