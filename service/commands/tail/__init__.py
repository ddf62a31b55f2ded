"""`relevo tail`: prints an application's attempts as they are made."""

import os
import re
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
    from service.settings.values import is_web_address

    token = os.environ.get(CALLER_VARIABLE, "").strip()
    if not re.fullmatch(r"[!-~]+", token):
        why = "has characters that no token has" if token else "is not set"
        raise CommandUnusable(f"{CALLER_VARIABLE} {why}: set it to a token that `relevo token` prints.")
    if not is_web_address(chosen.url):
        advice = "it has to begin with http:// or https://, and a port is a number up to 65535"
        raise CommandUnusable(f"{chosen.url!r} is no address of a server: {advice}.")
    if not chosen.app_id.isprintable():
        raise CommandUnusable(f"{chosen.app_id!r} is no application's id or uid.")
    try:
        follow(Stream(url=chosen.url, token=token, app_id=chosen.app_id), Console(), tell=tell)
    except StreamRefused as refused:
        raise CommandFailed(str(refused)) from None
    except KeyboardInterrupt:
        return OK
