"""The user of the embedded PostgreSQL, on a machine that does not have it yet."""

import shutil
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path

import pytest

from tests.faults.surroundings import may_mount

USER = "pgserver"
FIRST_STARTS = """
import asyncio, sys
from pathlib import Path
from service.adapters.machine.embedded import open_embedded

async def main():
    together = asyncio.Barrier(5)

    async def start(number):
        async with open_embedded(Path(sys.argv[1]) / str(number)):
            await together.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(start(number))

asyncio.run(main())
"""


@pytest.mark.skipif(not may_mount(), reason="only root needs another user, and may mount")
async def test_several_that_start_for_the_first_time_on_a_machine_make_one_user(directory: Path) -> None:
    etc = machine_without_the_user(directory)
    mount = 'mount --bind "$0" /etc && exec "$@"'
    within = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(etc))

    process = await create_subprocess_exec(*within, sys.executable, "-c", FIRST_STARTS, str(directory), stderr=PIPE)
    _, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    users = [line.partition(":")[0] for line in (etc / "passwd").read_text().splitlines()]
    assert users.count(USER) == 1


def machine_without_the_user(directory: Path) -> Path:
    """A copy of what this machine knows."""
    etc = directory / "etc"
    shutil.copytree("/etc", etc, symlinks=True)
    for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid"):
        if (file := etc / name).exists():
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(line for line in lines if not line.startswith(f"{USER}:")))
    return etc
