"""SIGTERM and Ctrl-C, handled by the event loop.

`loop.add_signal_handler` is not used: removing such a handler, which closing the loop does too, restores the default
action, and a signal at that instant ends the process with a status that says it was killed."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial

STOPPING = (signal.SIGINT, signal.SIGTERM)


def on_signal(number: signal.Signals, act: Callable[[], object]) -> None:
    """Call `act` from the running loop at each signal, instead of what was done before."""
    loop = asyncio.get_running_loop()
    # The handler itself runs between any two instructions, so it does nothing but ask the loop.
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))


def on_stopping(leave: Callable[[int], None]) -> None:
    """Call `leave` with the signal's number at SIGTERM and at Ctrl-C."""
    for number in STOPPING:
        on_signal(number, partial(leave, number))


def ignore_stopping() -> None:
    """Ignore SIGTERM and Ctrl-C from now on: the process is leaving, and nothing is left to be told."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
