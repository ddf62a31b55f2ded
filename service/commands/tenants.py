"""`relevo tenants`: which of several databases each organisation lives in."""

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

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


def tenants(chosen: Namespace) -> int:
    """List where organisations live, or place one."""
    from service.commands.execution import CommandUnusable
    from service.runtime.configuration import configured

    settings = configured(os.environ)
    if not settings.several:
        raise CommandUnusable(_ONE_DATABASE)
    return _list(settings) if chosen.part == "list" else _place(settings, chosen.org_id, chosen.database)


def _list(settings: "Settings") -> int:
    from service.commands.execution import run
    from service.runtime.homes import listed

    async def work() -> None:
        for home in await listed(settings):
            sys.stdout.write(f"{home.org_id}\t{home.database}\t{home.placed_at:%Y-%m-%dT%H:%M:%SZ}\n")

    return run(work)


def _place(settings: "Settings", org_id: str, database: str) -> int:
    from service.commands.execution import CommandUnusable, run
    from service.commands.tokens import no_organisation
    from service.domain import ids
    from service.runtime.homes import place

    names = [one.name for one in settings.storage.databases]
    if database not in names:
        raise CommandUnusable(f"{database!r} is not a database of RELEVO_DATABASES, which are {', '.join(names)}.")
    if not ids.is_organisation(org_id):
        raise CommandUnusable(no_organisation(org_id))

    async def work() -> None:
        lives_in = await place(settings, ids.OrgId(org_id), database)
        if lives_in != database:
            raise CommandUnusable(f"{org_id} lives in {lives_in}, and stays there.")
        sys.stdout.write(f"{org_id} lives in {database}.\n")

    return run(work)
