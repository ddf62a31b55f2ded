"""What `make demo-stack` and `make demo-brokers` run has its time to end."""

import os
import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import Callable

import pytest

Send = Callable[[int, int], None]

PARENT = "import sys; from deploy.staying import run_to_its_end; run_to_its_end([sys.executable, '-c', sys.argv[1]])"
CHILD = """
import signal, sys, time
def leave(number, frame):
    time.sleep(1)
    sys.exit(print("ended in order"))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, leave)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(("number", "send"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)])
async def test_a_command_that_is_told_to_leave_ends_by_itself(number: signal.Signals, send: Send) -> None:
    parent = await create_subprocess_exec(
        sys.executable, "-c", PARENT, CHILD, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"

    # A terminal's Ctrl-C reaches the whole group, SIGTERM the one process that it is sent to.
    send(parent.pid, number)
    said, complained = await parent.communicate()

    assert said == b"ended in order\n"
    assert b"KeyboardInterrupt" in complained
