"""The demo is the shortest proof that the whole of Relevo works, so it is a test as well."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


async def start_demo(directory: Path) -> Process:
    environment = {**os.environ, "TMPDIR": str(directory), "COLUMNS": "160"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "demo", env=environment, stdout=PIPE, stderr=PIPE, start_new_session=True
    )


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Like `tmp_path`, but short enough for the path of a Unix socket below it."""
    with TemporaryDirectory() as path:
        yield Path(path)


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.timeout(90)
async def test_everything_that_should_arrive_does(temporary: Path) -> None:
    demo = await start_demo(temporary)

    out, err = await demo.communicate()

    text = out.decode()
    assert demo.returncode == 0, text + err.decode()
    assert text.count("signature ok") >= 22  # ten healthy, twelve flaky
    assert "SIGNATURE WRONG" not in text
    assert "POST CLIENT" in text
    assert "\x1b" not in text, "a pipe gets plain text"
    assert left_in(temporary) == [], "nothing is left behind"


@pytest.mark.timeout(90)
async def test_ctrl_c_stops_the_server_and_leaves_nothing_behind(temporary: Path) -> None:
    demo = await start_demo(temporary)
    assert demo.stdout is not None
    await demo.stdout.readline()  # the server is up

    demo.send_signal(signal.SIGINT)
    await demo.communicate()

    assert demo.returncode != 0
    assert left_in(temporary) == []
