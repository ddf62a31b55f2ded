"""`relevo tail`: prints an application's attempts as they are made."""

import os
from argparse import ArgumentParser, Namespace


def take_arguments(parser: ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("app_id", help="the application's id or uid")
    parser.add_argument("--url", default="http://localhost:8000", help="the server (default: %(default)s)")
    parser.epilog = "Set RELEVO_TOKEN to a token that `relevo token` prints."


def tail(chosen: Namespace) -> int:
    """Print attempts until Ctrl-C."""
    from rich.console import Console

    from service.commands.execution import CALLER_VARIABLE, OK, CommandFailed, CommandUnusable, tell
    from service.commands.tail.following import Stream, StreamRefused, follow

    token = os.environ.get(CALLER_VARIABLE, "").strip()
    if not token or not token.isascii():
        raise CommandUnusable(f"{CALLER_VARIABLE} is not set: set it to a token that `relevo token` prints.")
    try:
        follow(Stream(url=chosen.url, token=token, app_id=chosen.app_id), Console(), tell=tell)
    except StreamRefused as refused:
        raise CommandFailed(str(refused)) from None
    except KeyboardInterrupt:
        return OK
