"""What keeps the demo up: it waits to be told that this was enough."""

import asyncio
import signal
import sys
from contextlib import suppress


async def until_told() -> None:
    """Wait for Enter, Ctrl-C or SIGTERM. Where nobody can press Enter, the signals alone end it."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if sys.stdin.readline():
            told.set()
        else:
            loop.remove_reader(sys.stdin)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    with suppress(PermissionError):  # standard input is a file
        loop.add_reader(sys.stdin, read)
    await told.wait()
