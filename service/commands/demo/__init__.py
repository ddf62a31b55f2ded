"""`relevo demo`: a whole Relevo, three receivers and ten events, in a temporary directory. With brokers the events come
from one, and go to two others too."""

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
    parser.add_argument(
        "--brokers",
        nargs="?",
        const="build/brokers.json",
        metavar="FILE",
        help="have events come from NATS JetStream and leave over HTTP, RabbitMQ and Kafka in order, with the brokers "
        "that `make brokers` runs",
    )
    parser.add_argument(
        "--stay", action="store_true", help="then stay up, with a link to the console, until Enter or Ctrl-C"
    )


def demo(chosen: Namespace) -> int:
    """Run the demo. The exit status is 0 if all its checks hold."""
    from service.commands.execution import CommandUnusable

    if chosen.brokers and (chosen.stack or chosen.stay):
        raise CommandUnusable("`relevo demo --brokers` is a demo of its own: leave out --stack and --stay.")
    return _demo_of_brokers(Path(chosen.brokers)) if chosen.brokers else _demo(chosen)


def _demo(chosen: Namespace) -> int:
    import asyncio

    from service.commands.demo.stack import StackUnknown, read
    from service.commands.demo.story import run
    from service.commands.execution import CommandFailed

    try:
        stack = read(Path(chosen.stack)) if chosen.stack else None
    except StackUnknown as error:
        raise CommandFailed(str(error)) from None
    return asyncio.run(run(stack, stay=chosen.stay))


def _demo_of_brokers(addresses: Path) -> int:
    import asyncio

    from service.commands.demo.brokers import BrokersUnknown, read
    from service.commands.demo.streaming import run
    from service.commands.execution import CommandFailed

    try:
        return asyncio.run(run(read(addresses)))
    except BrokersUnknown as error:
        raise CommandFailed(str(error)) from None
