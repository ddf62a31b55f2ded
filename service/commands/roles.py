"""`relevo serve` and `relevo worker`: run a role until SIGTERM or Ctrl-C."""

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
    """Bind the ports first, so that nothing is started when one is in use."""
    from service.commands.execution import OK, CommandFailed, run
    from service.runtime.listening import PortUnusable, listeners

    try:
        with listeners(settings, api=api) as taken:
            return run(partial(_with_database, role, settings, taken), told_to_leave=OK)
    except PortUnusable as error:
        raise CommandFailed(str(error)) from None


async def _with_database(role: "Role", settings: "Settings", listeners: "Listeners") -> None:
    """Check the database before the role starts, so that a fault is one clear sentence."""
    from service.commands.execution import waits
    from service.runtime.database import fitting_database

    async with fitting_database(settings, tell=waits) as urls:
        await role(settings, listeners, urls)
