"""How every command is carried out: what is warned of first, the loop, signals, and the status by which it ends."""

import asyncio
import gc
import logging
import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Coroutine
from importlib.metadata import requires

import structlog

from service.domain.errors import LimitReached
from service.runtime.configuration import UNUSABLE as UNUSABLE_SETTINGS
from service.runtime.configuration import warnings

OK, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
# A request leaves hundreds of objects and hardly a cycle: looking for cycles as often as Python does by itself took a
# quarter of an accept's time, most of the time of reading JSON that holds many lists, and a sixth of a start.
COLLECT_SELDOM = (50_000, 20, 100)
LONGEST_LINE = 600
BEARER = "RELEVO_TOKEN"  # not a setting: who asks a server says so with it


_MISSING = (
    "{module} is not installed here: install Relevo with its extra `{extra}`, "
    "in its own directory by `pip install '.[{extra}]'`"
)
_INSTEAD = {"embedded": ", or set RELEVO_DATABASE_URL to a PostgreSQL of your own."}


class CommandFailed(Exception):
    """The command cannot be done now; the text says what to do."""


class CommandUnusable(Exception):
    """What the command was given has to be changed; the text says what to do."""


def carry_out(command: Callable[[Namespace], int], chosen: Namespace) -> int:
    """The exit status of the command, what is wrong being said in a sentence."""
    gc.set_threshold(*COLLECT_SELDOM)
    # Until the runtime sets logging up, only what matters is told, and standard output belongs to the command.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for sentence in warnings(os.environ, others={BEARER}):
        tell(f"warning: {sentence}")
    try:
        return command(chosen)
    except (*UNUSABLE_SETTINGS, CommandUnusable) as error:
        tell(str(error))
        return UNUSABLE
    except CommandFailed as error:
        tell(str(error))
        return FAILED
    except ModuleNotFoundError as error:
        extra = _extra_with(error.name)
        if extra is None:
            raise
        tell(_MISSING.format(module=error.name, extra=extra) + _INSTEAD.get(extra, "."))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _extra_with(module: str | None) -> str | None:
    """The extra that brings a module; None for what no extra brings."""
    for requirement in requires("relevo") or ():
        name, _, condition = requirement.partition(";")
        if re.split(r"[^\w-]", name)[0].replace("-", "_") == (module or "").partition(".")[0]:
            extra = re.search(r"extra == '([\w-]+)'", condition.replace('"', "'"))
            return extra and extra.group(1)
    return None


def run(work: Callable[[], Coroutine[None, None, None]], *, told_to_leave: int = INTERRUPTED) -> int:
    """Run `work` on uvloop. `told_to_leave` is the status for a SIGTERM that comes before the work listens for it: a
    server that has not begun has left in good order then, a migration has not been done.

    CommandFailed, CommandUnusable for what is wrong with the database.
    """
    import uvloop

    from service.runtime.database import AWAY, UNFIT

    # While the loop is made, there is nothing yet to be closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(told_to_leave))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told_to_leave(work))
    except asyncio.CancelledError:
        return told_to_leave
    except (*UNFIT, LimitReached) as error:
        raise CommandUnusable(str(error)) from None
    except AWAY as error:
        raise CommandFailed(str(error)) from None
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


def waits(sentence: str) -> None:
    """For somebody who looks on; whoever reads it from a file wants to hear of faults."""
    if sys.stderr.isatty():
        tell(sentence)


def tell(sentence: str) -> None:
    """Say it on standard error, each line by itself."""
    for line in sentence.splitlines():
        # A value may be quoted in it, and have any length; what to do stands at the end.
        short = line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE // 2]}...{line[-LONGEST_LINE // 2 :]}"
        sys.stderr.write(f"relevo: {short}\n")
