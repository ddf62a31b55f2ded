"""The demo is the shortest proof that the whole of Relevo works, so it is a test as well."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.processes import asking, run


async def start_demo(directory: Path, *options: str) -> Process:
    environment = {**os.environ, "TMPDIR": str(directory), "COLUMNS": "160"}
    command = [sys.executable, "-m", "service", "demo", *options]
    return await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Like `tmp_path`, but short enough for the path of a Unix socket below it."""
    with TemporaryDirectory() as path:
        yield Path(path)


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.parametrize("option", ["stack", "brokers"])
@pytest.mark.parametrize("file", ["/etc/passwd", "/tmp", "/dev/null"])  # noqa: S108  # a directory
async def test_a_file_that_is_none_of_addresses_is_told(option: str, file: str) -> None:
    status, out, err = await run("demo", f"--{option}", file, environ={})

    assert (status, out) == (1, "")
    told = f"relevo: {file} is not the file that `make {option}` writes: name that one, or leave its name out.\n"
    assert err == told


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


@pytest.mark.timeout(90)
@pytest.mark.parametrize("told", ["Enter", signal.SIGINT, signal.SIGTERM])
async def test_it_stays_up_with_a_console_to_sign_in_to_until_it_is_told(
    temporary: Path, told: signal.Signals | str
) -> None:
    demo = await start_demo(temporary, "--stay")

    url, token = await shown_console(demo)
    async with asking(url) as browser:
        signed_in = await browser.post("/console/sign-in", data={"token": token})
        applications = await browser.get("/console/apps")
    if isinstance(told, signal.Signals):
        demo.send_signal(told)
        _, err = await demo.communicate()
    else:
        _, err = await demo.communicate(b"\n")

    assert signed_in.status_code == 303
    assert ">Demo</a>" in applications.text
    assert demo.returncode == 0, err.decode()
    assert left_in(temporary) == []


async def shown_console(demo: Process) -> tuple[str, str]:
    """The server's address and a token, once they are shown."""
    assert demo.stdout is not None
    while b"The console is at" not in (line := await demo.stdout.readline()):
        assert line, "it ended"
    link = re.fullmatch(r"(http\S+)/console/sign-in#token=(\S+)\n", (await demo.stdout.readline()).decode())
    assert link is not None
    return link[1], link[2]
