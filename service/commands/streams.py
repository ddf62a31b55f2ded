"""The standard streams: open even where whoever started the command closed them; what they do not take is told."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STANDARD = (0, 1, 2)
_OUT, _ERRORS = 1, 2


class OutputRefused(Exception):
    """Standard output does not take what the command says; the text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Standard output does not take what this command says: {why}. Send it to where there is room."
        )


def open_closed() -> None:
    """Put the null device where a standard stream is closed. The event loop's own files would get its number otherwise,
    and uvloop aborts the process when it closes one of these."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(number, True)  # noqa: FBT003  # it takes no names
    if sys.__stderr__ is None:
        sys.stderr = open(_ERRORS, "w", closefd=False)  # noqa: SIM115  # open as long as the process
    if sys.__stdout__ is None:
        sys.stdout = open(_OUT, "w", closefd=False)  # noqa: SIM115  # open as long as the process


def say(text: str) -> None:
    """Write to standard output, at once, so that what is done is known when the next thing fails. Raises
    OutputRefused."""
    with told_when_refused():
        if sys.__stdout__ is None:
            raise OutputRefused("it is closed")
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


@contextmanager
def told_when_refused() -> Iterator[None]:
    """Turn the failure of what is written to standard output into OutputRefused."""
    try:
        yield
    except OSError as error:
        _give_up(_OUT)
        raise OutputRefused(os.strerror(error.errno or 0)) from None


def complain(text: str) -> None:
    """Write to standard error. If that takes nothing there is nobody to tell."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        _give_up(_ERRORS)


def _give_up(number: int) -> None:
    """Let the null device take what is left for it, or Python would fail again, and say so, when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
