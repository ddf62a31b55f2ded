"""The `relevo` command: parses the command line and runs the command that it names.

A command's modules are imported when it runs, so that `--help` answers at once.
"""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from typing import NoReturn

from service.commands import database, demo, roles, tail, tenants, tokens
from service.commands.streams import open_closed

_ABOUT = "Delivers webhooks: durable, signed, retried for a day, and visible in Jaeger."
_EPILOG = """\
Settings come from RELEVO_* variables, listed in deploy/configuration.md. With none set, Relevo brings its own
PostgreSQL and keeps everything in ./.relevo. Telemetry follows the standard OTEL_* variables.

exit status: 0 done; 1 something failed; 2 the command line, a setting or the state of the database has to be changed
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    open_closed()
    chosen = _parser().parse_args(arguments)
    from service.commands.execution import carry_out

    raise SystemExit(carry_out(chosen.command, chosen))


@cache
def _parser() -> ArgumentParser:
    parser = ArgumentParser("relevo", description=_ABOUT, epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"relevo {version('relevo')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[Namespace], int], about: str) -> ArgumentParser:
        added = commands.add_parser(name, help=about, description=f"{about[:1].upper()}{about[1:]}.")
        added.set_defaults(command=command)
        return added

    roles.take_arguments(add("serve", roles.serve, "serve the API and deliver"))
    roles.take_arguments(add("worker", roles.worker, "deliver only, beside one or more that serve"))
    add("migrate", database.migrate, "bring the database, or each of several, to this release's schema")
    again = "encrypt all stored secrets again with the first of RELEVO_SECRET_KEYS; servers may run meanwhile"
    add("reencrypt", database.reencrypt, again)
    tokens.take_arguments(add("token", tokens.token, "print a token for the API"))
    about = "list which of several databases each organisation lives in, or give a new one a database"
    tenants.take_arguments(add("tenants", tenants.tenants, about))
    tail.take_arguments(add("tail", tail.tail, "print an application's attempts as they are made, until Ctrl-C"))
    demo.take_arguments(add("demo", demo.demo, "send ten events to three receivers and show what became of each"))
    return parser


if __name__ == "__main__":
    main()
