"""`relevo tail`: an application's attempts in a terminal, as they are made."""

import os
from argparse import ArgumentParser, Namespace


def take_arguments(parser: ArgumentParser) -> None:
    """What the command may be told."""
    parser.add_argument("app_id", help="the application's id or uid")
    parser.add_argument("--url", default="http://localhost:8000", help="the server (default: %(default)s)")
    parser.epilog = "RELEVO_TOKEN has to hold a token, as `relevo token` prints it."


def tail(chosen: Namespace) -> int:
    """Print attempts until Ctrl-C."""
    from rich.console import Console

    from service.commands.running import BEARER, OK, CommandFailed, CommandUnusable, tell
    from service.commands.tail.following import Stream, StreamRefused, follow

    token = os.environ.get(BEARER, "").strip()
    if not token or not token.isascii():
        raise CommandUnusable(f"{BEARER} is not set: it has to hold a token, as `relevo token` prints it.")
    try:
        follow(Stream(url=chosen.url, token=token, app_id=chosen.app_id), Console(), tell=tell)
    except StreamRefused as refused:
        raise CommandFailed(str(refused)) from None
    except KeyboardInterrupt:
        return OK
