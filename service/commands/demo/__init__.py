"""`relevo demo`: a whole Relevo, three receivers and ten events, in a temporary directory."""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def take_arguments(parser: ArgumentParser) -> None:
    """What the command may be told."""
    parser.add_argument(
        "--stack",
        nargs="?",
        const="build/stack.json",
        metavar="FILE",
        help="tell the collector that `make stack` runs, and look for it all in Jaeger, Prometheus and its log file",
    )


def demo(chosen: Namespace) -> int:
    """Play the story, and tell whether it went as it should."""
    import asyncio

    from service.commands.demo.stack import StackUnknown, read
    from service.commands.demo.story import run
    from service.commands.running import CommandFailed

    try:
        stack = read(Path(chosen.stack)) if chosen.stack else None
    except StackUnknown as error:
        raise CommandFailed(str(error)) from None
    return asyncio.run(run(stack))
