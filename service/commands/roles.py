"""`relevo serve` and `relevo worker`: the roles of a process, until it is told to leave."""

import os
from argparse import Namespace
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.runtime.database import DatabaseUrls
    from service.runtime.listening import Listeners
    from service.settings import Settings

    Role = Callable[[Settings, Listeners, DatabaseUrls], Coroutine[None, None, None]]


def serve(_: Namespace) -> int:
    """Serve the API and deliver."""
    from service.runtime.configuration import alone, configured

    settings = configured(os.environ)
    from service.runtime import roles

    with alone(settings):
        return _listening(roles.serve, settings, api=True)


def worker(_: Namespace) -> int:
    """Deliver only."""
    from service.runtime.configuration import configured

    settings = configured(os.environ)
    from service.runtime import roles

    return _listening(roles.worker, settings, api=False)


def _listening(role: "Role", settings: "Settings", *, api: bool) -> int:
    """Ports first: nothing is begun for a server that nobody could call."""
    from service.commands.running import OK, CommandFailed, run
    from service.runtime.listening import PortUnusable, listeners

    try:
        with listeners(settings, api=api) as taken:
            return run(partial(_with_database, role, settings, taken), told_to_leave=OK)
    except PortUnusable as error:
        raise CommandFailed(str(error)) from None


async def _with_database(role: "Role", settings: "Settings", listeners: "Listeners") -> None:
    """Find out now, while a sentence can still be said, whether the database is there and fits."""
    from service.commands.running import waits
    from service.runtime.database import fitting_database

    async with fitting_database(settings, tell=waits) as urls:
        await role(settings, listeners, urls)
