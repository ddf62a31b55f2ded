"""The `relevo` command. Reads the settings, says in a sentence what is wrong with them, and hands over to the runtime.

Imports wait until a command needs them, so that `relevo token` and `--help` answer at once.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import structlog

from service.adapters.machine.data_directory import (
    DataDirectoryError,
    generated_secrets,
    refuse_without_secrets,
    sole_server,
)
from service.domain.errors import LimitReached
from service.domain.tokens import LONGEST_LIFETIME, ROLES, SHORTEST_LIFETIME, USUAL_LIFETIME, is_token_name
from service.environment import unknown
from service.observability import variables
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.application.tokens import NewToken
    from service.domain.ids import OrgId
    from service.runtime.listening import Listeners

OK, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
# A request leaves hundreds of objects and hardly a cycle: looking for cycles as often as Python does by itself took a
# quarter of an accept's time, and most of the time of reading JSON that holds many lists.
COLLECT_SELDOM = (50_000, 20, 100)
_TOO_LONG = 9  # digits of a time
LONGEST_LINE = 600
BEARER = "RELEVO_TOKEN"  # not a setting: who asks a server says so with it


class Unreadable(Exception):
    """Some of what is kept is under a key that was not given."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} values are encrypted with a key that is not among RELEVO_SECRET_KEYS, and stay as they are. "
            "Add that key behind the others and run this again."
        )


_ABOUT = "Delivers webhooks: durable, signed, retried for a day, and visible in Jaeger."
_EPILOG = """\
Settings come from RELEVO_* variables, listed in deploy/configuration.md. With none set, Relevo brings its own
PostgreSQL and keeps everything in ./.relevo. Telemetry follows the standard OTEL_* variables.

exit status: 0 done; 1 something failed; 2 the command line, a setting or the state of the database has to be changed
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    chosen = _parser().parse_args(arguments)
    variables.forget_the_empty(os.environ)
    # Until the runtime sets logging up, only what matters is told, and standard output belongs to the command.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for sentence in unknown({name: value for name, value in os.environ.items() if name != BEARER}, Settings):
        _tell(f"warning: {sentence}")
    for sentence in variables.unheeded(os.environ):
        _tell(f"warning: {sentence}")
    try:
        sys.exit(chosen.command(chosen))
    except (SettingsError, DataDirectoryError, variables.VariableRefused) as error:
        _tell(str(error))
        sys.exit(UNUSABLE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _parser() -> ArgumentParser:
    parser = ArgumentParser("relevo", description=_ABOUT, epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"relevo {version('relevo')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[Namespace], int], about: str) -> ArgumentParser:
        added = commands.add_parser(name, help=about, description=f"{about[:1].upper()}{about[1:]}.")
        added.set_defaults(command=command)
        return added

    add("serve", _serve, "serve the API and deliver")
    add("worker", _worker, "deliver only, beside one or more that serve")
    add("migrate", _migrate, "bring the database to this release's schema")
    add("reencrypt", _reencrypt, "encrypt what is kept anew with the first of RELEVO_SECRET_KEYS, while others serve")
    token = add("token", _token, "print a token for the API")
    token.add_argument("org_id", nargs="?", help="the organisation it speaks for (default: the one that is built in)")
    token.add_argument("--role", choices=ROLES, default="admin", help="what it may do (default: %(default)s)")
    token.add_argument("--expires", type=_lifetime, metavar="90d", help="when it ends, in days, hours or minutes")
    token.add_argument(
        "--name", type=_token_name, help="keep it in the list at /api/v1/auth/token, where it can be revoked"
    )
    token.epilog = (
        "Without a name the token is in no list, and holds for ten years unless --expires says otherwise; "
        "with one, for 90 days."
    )
    tail = add("tail", _tail, "print an application's attempts as they are made, until Ctrl-C")
    tail.add_argument("app_id", help="the application's id or uid")
    tail.add_argument("--url", default="http://localhost:8000", help="the server (default: %(default)s)")
    tail.epilog = f"{BEARER} has to hold a token, as `relevo token` prints it."
    demo = add("demo", _demo, "send ten events to three receivers and show what became of each")
    demo.add_argument(
        "--stack",
        nargs="?",
        const="build/stack.json",
        metavar="FILE",
        help="tell the collector that `make stack` runs, and look for it all in Jaeger, Prometheus and its log file",
    )
    return parser


def _serve(_: Namespace) -> int:
    settings = _settings()
    with sole_server(settings.storage.data_dir) if settings.embedded else nullcontext():
        return _listening(_served, settings, api=True)


def _worker(_: Namespace) -> int:
    return _listening(_worked, _settings(), api=False)


def _listening(
    work: "Callable[[Settings, Listeners], Coroutine[None, None, None]]", settings: Settings, *, api: bool
) -> int:
    """Ports first: nothing is begun for a server that nobody could call."""
    from service.runtime.listening import PortUnusable, listeners

    try:
        with listeners(settings, api=api) as taken:
            return _run(partial(work, settings, taken), told_to_leave=OK)
    except PortUnusable as error:
        _tell(str(error))
        return FAILED


def _migrate(_: Namespace) -> int:
    return _run(partial(_migrated, _settings()))


def _reencrypt(_: Namespace) -> int:
    return _run(partial(_reencrypted, _settings()))


def _token(chosen: Namespace) -> int:
    from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
    from service.application.tokens import NewToken
    from service.domain import ids

    org_id = chosen.org_id or DEFAULT_ORGANISATION
    if not ids.is_organisation(org_id):
        _tell(
            f"{org_id!r} is not an organisation: it has to be {ids.ORGANISATION} and letters, digits, `-`, `_` or `.`."
        )
        return UNUSABLE
    known = _read()
    if known.embedded and known.access.jwt_secret is None:
        refuse_without_secrets(known.storage.data_dir)
        known = _settings()
    if chosen.name is not None:
        new = NewToken(name=chosen.name, role=chosen.role, lifetime=chosen.expires or USUAL_LIFETIME)
        return _run(partial(_listed_token, _settings(), ids.OrgId(org_id), new))
    lifetime = chosen.expires or LONGEST_LIFETIME
    made = Tokens(known.jwt_secret()).mint(
        ids.OrgId(org_id), now=datetime.now(UTC), role=chosen.role, lifetime=lifetime
    )
    sys.stdout.write(f"{made}\n")
    return OK


def _tail(chosen: Namespace) -> int:
    from rich.console import Console

    from service.commands import tail

    token = os.environ.get(BEARER, "").strip()
    if not token or not token.isascii():
        _tell(f"{BEARER} is not set: it has to hold a token, as `relevo token` prints it.")
        return UNUSABLE
    stream = tail.Stream(url=chosen.url, token=token, app_id=chosen.app_id)
    try:
        tail.follow(stream, Console(), tell=_tell)
    except tail.Refused as refused:
        _tell(str(refused))
        return FAILED
    except KeyboardInterrupt:
        return OK


def _demo(chosen: Namespace) -> int:
    from service.commands import demo

    try:
        stack = demo.read(Path(chosen.stack)) if chosen.stack else None
    except demo.StackUnknown as error:
        _tell(str(error))
        return FAILED
    return asyncio.run(demo.run(stack))


def _settings() -> Settings:
    """The settings, with generated secrets where embedded mode allows that."""
    settings = _read()
    if settings.embedded and settings.lacks_secrets:
        made = generated_secrets(settings.storage.data_dir)
        return settings.with_secrets(jwt_secret=made.jwt_secret, secret_key=made.secret_key)
    settings.jwt_secret(), settings.secret_keys()  # a missing one is told now, not by the first request
    return settings


def _read() -> Settings:
    variables.checked(os.environ)
    return Settings.from_environment(os.environ).with_addresses(_completed)


def _completed(url: str) -> str:
    from service.adapters.postgres.server.address import completed

    return completed(url, os.environ)


def _lifetime(text: str) -> timedelta:
    """From what people write: `90d`, `12h`, `90m`."""
    amount, unit = text[:-1], {"d": "days", "h": "hours", "m": "minutes"}.get(text[-1:])
    if unit is None or not (amount.isascii() and amount.isdigit() and len(amount) < _TOO_LONG):
        raise ArgumentTypeError(f"{text!r} is no time: write 90d, 12h or 90m")
    lifetime = timedelta(**{unit: int(amount)})
    if not SHORTEST_LIFETIME <= lifetime <= LONGEST_LIFETIME:
        raise ArgumentTypeError(f"a token holds for 1h at least and for {LONGEST_LIFETIME.days}d at most")
    return lifetime


def _token_name(text: str) -> str:
    if not is_token_name(text):
        raise ArgumentTypeError("a name has 1 to 256 characters, and none that controls a terminal")
    return text


async def _listed_token(settings: Settings, org_id: "OrgId", new: "NewToken") -> None:
    from service.runtime.tokens import make_listed_token

    async with _database(settings), _reachable(settings) as url:
        made = await make_listed_token(settings, url, org_id, new)
    sys.stdout.write(f"{made}\n")


async def _served(settings: Settings, listeners: "Listeners") -> None:
    from service import runtime

    async with _database(settings):
        await runtime.serve(settings, listeners)


async def _worked(settings: Settings, listeners: "Listeners") -> None:
    from service import runtime

    async with _database(settings):
        await runtime.worker(settings, listeners)


async def _migrated(settings: Settings) -> None:
    from service.adapters.postgres.server import schema

    async with _reachable(settings) as url:
        _waits("bringing the database to this release's schema ...")
        revision = await schema.migrate(url)
    sys.stdout.write(f"The database has schema {revision}.\n")


async def _reencrypted(settings: Settings) -> None:
    from service.adapters.machine.vault import Vault
    from service.adapters.postgres.server.connections import connect
    from service.adapters.postgres.server.resealing import reseal

    async with _database(settings), _reachable(settings) as url:
        connection = await connect(url)
        try:
            outcome = await reseal(connection, Vault(settings.secret_keys()))
        finally:
            await connection.close()
    sys.stdout.write(f"{outcome.resealed} values were encrypted anew with the first key.\n")
    if outcome.unreadable:
        raise Unreadable(outcome.unreadable)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[None]:
    """Find out now, while a sentence can still be said, whether the database is there and fits."""
    from service.adapters.postgres.server import schema

    async with _reachable(settings) as url:
        if settings.embedded:
            await schema.migrate(url)
        else:
            await schema.check(url)
        yield


@asynccontextmanager
async def _reachable(settings: Settings) -> AsyncIterator[str]:
    from service.adapters.machine.embedded import open_embedded
    from service.adapters.postgres.server.address import read

    # What is done here takes long or holds a lock: it goes past a pooler.
    configured = settings.storage.database_direct_url or settings.storage.database_url
    if configured is not None:
        url = configured.get_secret_value()
        _waits(f"connecting to PostgreSQL at {', '.join(map(str, read(url).hosts))} ...")
        yield url
        return
    _waits(f"starting PostgreSQL in {settings.storage.data_dir} ...")
    async with open_embedded(settings.storage.data_dir) as url:
        yield url


def _run(work: Callable[[], Coroutine[None, None, None]], *, told_to_leave: int = INTERRUPTED) -> int:
    """Run `work` on uvloop and turn what is wrong with the database into a sentence. `told_to_leave` is the status for
    a SIGTERM that comes before the work listens for it: a server that has not begun has left in good order then, a
    migration has not been done."""
    import uvloop

    from service.adapters.machine.embedded import EmbeddedUnavailable
    from service.adapters.postgres.server import schema

    gc.set_threshold(*COLLECT_SELDOM)
    # While the loop is made, there is nothing yet to be closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(told_to_leave))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told_to_leave(work))
    except asyncio.CancelledError:
        return told_to_leave
    except (schema.SchemaMismatch, Unreadable, LimitReached) as error:
        _tell(str(error))
        return UNUSABLE
    except (EmbeddedUnavailable, schema.DatabaseUnreachable, schema.SchemaBusy) as error:
        _tell(str(error))
        return FAILED
    return OK


async def _until_told_to_leave(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Until the work listens for SIGTERM itself, it is cancelled by one, so that what was opened is closed. A handler
    that raises may do so within somebody else's callback, where the exception is lost and the process stays."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work())
    loop.add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        await working
    finally:
        # Another one, while the last things are closed, changes neither that nor the exit status.
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _waits(sentence: str) -> None:
    """For somebody who looks on; whoever reads it from a file wants to hear of faults."""
    if sys.stderr.isatty():
        _tell(sentence)


def _tell(sentence: str) -> None:
    for line in sentence.splitlines():
        # A value may be quoted in it, and have any length; what to do stands at the end.
        short = line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE // 2]}...{line[-LONGEST_LINE // 2 :]}"
        sys.stderr.write(f"relevo: {short}\n")


if __name__ == "__main__":
    main()
