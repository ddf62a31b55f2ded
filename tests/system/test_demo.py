"""The demo is the shortest proof that the whole of Relevo works, so it is a test as well."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest


async def start_demo(temporary: Path) -> Process:
    environment = {**os.environ, "TMPDIR": str(temporary), "COLUMNS": "160"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "demo", env=environment, stdout=PIPE, stderr=PIPE, start_new_session=True
    )


@pytest.mark.timeout(90)
async def test_everything_that_should_arrive_does(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path)

    out, err = await demo.communicate()

    text = out.decode()
    assert demo.returncode == 0, text + err.decode()
    assert text.count("signature ok") >= 22  # ten healthy, twelve flaky
    assert "SIGNATURE WRONG" not in text
    assert "POST CLIENT" in text
    assert "\x1b" not in text, "a pipe gets plain text"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.timeout(90)
async def test_ctrl_c_stops_the_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path)
    assert demo.stdout is not None
    await demo.stdout.readline()  # the server is up

    demo.send_signal(signal.SIGINT)
    await demo.communicate()

    assert demo.returncode != 0
    assert list(tmp_path.iterdir()) == []
