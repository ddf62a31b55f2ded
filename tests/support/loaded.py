"""Relevo with everything loaded and its routes analysed, to be forked (`forks.py` says why)."""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from multiprocessing.reduction import DupFd
from typing import Any, Self

# What `relevo` loads for one command or another.
import service.api.protocol.sockets
import service.commands.execution
import service.runtime.moves
import service.runtime.roles
import service.runtime.services
import service.supervision.supervising  # noqa: F401 - loaded, not used
from service.__main__ import main
from service.api.app import create_app
from service.api.services import Services
from service.console.app import add_console

# Read when a library is loaded, which happened before the fork.
READ_AT_IMPORT = frozenset({"OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "NO_COLOR", "FORCE_COLOR"})

_loaded_by = os.getpid()


def _not_served() -> AbstractAsyncContextManager[Services]:
    raise AssertionError("this application only has its routes analysed")


add_console(create_app(_not_served))
gc.freeze()


class Output:
    """An open file of the starting process, which a fork gets as its own."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return Output._received, (DupFd(self.descriptor),)

    @classmethod
    def _received(cls, sent: Any) -> Self:
        return cls(sent.detach())


def carry_out(arguments: Sequence[str], environ: Mapping[str, str], output: Output, errors: Output) -> None:
    """In a fork: be `relevo ARGUMENTS` with these settings and outputs, in a session of its own."""
    assert os.getpid() != _loaded_by, "nothing was loaded before the fork"
    os.setsid()
    os.dup2(output.descriptor, 1)
    os.dup2(errors.descriptor, 2)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[1:] = arguments
    main(arguments)
