"""`relevo demo`: a whole Relevo, three receivers and ten events, in a temporary directory."""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def take_arguments(parser: ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--stack",
        nargs="?",
        const="build/stack.json",
        metavar="FILE",
        help="send telemetry to the collector that `make stack` runs, and check Jaeger, Prometheus and its log file",
    )


def demo(chosen: Namespace) -> int:
    """Run the demo. The exit status is 0 if all its checks hold."""
    import asyncio

    from service.commands.demo.stack import StackUnknown, read
    from service.commands.demo.story import run
    from service.commands.execution import CommandFailed

    try:
        stack = read(Path(chosen.stack)) if chosen.stack else None
    except StackUnknown as error:
        raise CommandFailed(str(error)) from None
    return asyncio.run(run(stack))
