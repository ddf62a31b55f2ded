"""`relevo serve` and `relevo worker`: run a role until SIGTERM or Ctrl-C, in one process or in several."""

import os
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.runtime.database import DatabaseUrls
    from service.runtime.listening import Listeners
    from service.settings import Settings

    Role = Callable[[Settings, Listeners, DatabaseUrls], Coroutine[None, None, None]]


def take_arguments(parser: ArgumentParser) -> None:
    """The arguments of both roles."""
    about = "how many processes share the port and the work; auto: one for each core (RELEVO_PROCESSES)"
    parser.add_argument("--processes", metavar="N", help=about)
    parser.add_argument("--child", action="store_true", help=SUPPRESS)  # as a parent starts it


def serve(arguments: Namespace) -> int:
    """Serve the API and deliver."""
    return _run("serve", arguments)


def worker(arguments: Namespace) -> int:
    """Deliver only."""
    return _run("worker", arguments)


def _run(command: str, arguments: Namespace) -> int:
    if arguments.processes is not None:
        os.environ["RELEVO_PROCESSES"] = arguments.processes
    from service.runtime.configuration import alone, configured

    settings = configured(os.environ)
    from service.commands.execution import CommandFailed
    from service.runtime.listening import PortUnusable

    try:
        if arguments.child:
            return _as_child(_role(command), settings)
        role = _role(command) if settings.server.processes == 1 else _in_processes(command, settings)
        with alone(settings) if command == "serve" else nullcontext():
            return _listening(role, settings, api=command == "serve")
    except PortUnusable as error:
        raise CommandFailed(str(error)) from None


def _role(command: str) -> "Role":
    from service.runtime import roles

    return roles.serve if command == "serve" else roles.worker


def _in_processes(command: str, settings: "Settings") -> "Role":
    from service.supervision.cores import cores
    from service.supervision.supervising import Supervising

    asked = settings.server.processes
    return Supervising(command=command, count=cores() if asked == "auto" else asked)


def _as_child(role: "Role", settings: "Settings") -> int:
    """Do what the parent says, until it says otherwise or ends."""
    from service.commands.execution import OK, CommandUnusable, run
    from service.supervision.instructions import Instructions, from_parent, leave_with_parent

    try:
        told = Instructions.read(parent := from_parent())
    except ValueError:
        raise CommandUnusable("--child is for `relevo` itself: it starts processes of its own with it.") from None
    leave_with_parent(parent)
    return run(partial(role, settings, told.listeners(), told.database), told_to_leave=OK)


def _listening(role: "Role", settings: "Settings", *, api: bool) -> int:
    """Bind the ports first, so that nothing is started when one is in use."""
    from service.commands.execution import OK, run
    from service.runtime.listening import listeners

    with listeners(settings, api=api) as taken:
        return run(partial(_with_database, role, settings, taken), told_to_leave=OK)


async def _with_database(role: "Role", settings: "Settings", listeners: "Listeners") -> None:
    """Check the database before the role starts, so that a fault is one clear sentence."""
    from service.commands.execution import tell, waits
    from service.runtime.database import fitting_database

    async with fitting_database(settings, tell=waits, warn=tell) as urls:
        await role(settings, listeners, urls)
