"""No test hangs: the run goes on without it, and says so."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.support.processes import environment

ROOT = Path(__file__).parents[1]
BOUND = "from tests.support.hanging import bound as pytest_collection_modifyitems\n"
TESTS = """
import asyncio
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(1)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def never_cleared(anyio_backend):
    yield
    await asyncio.Event().wait()


async def test_waits(anyio_backend):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
    finally:
        Path(__file__).with_name("cleared").touch()


async def test_blocks(anyio_backend):
    threading.Event().wait()


async def test_has_a_fixture_that_is_never_cleared(never_cleared):
    pass


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", range(3))
def test_ends(number):
    pass
"""


@pytest.mark.timeout(180)
async def test_whatever_hangs_is_ended_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(BOUND)
    (tmp_path / "test_some.py").write_text(TESTS)

    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-n", "1", "--dist", "worksteal", "-c", ROOT / "pyproject.toml"),
        *("--rootdir", ROOT, "--basetemp", tmp_path / "t", tmp_path / "test_some.py"),
        env=environment({"RELEVO_TEST_PATIENCE": "0.1"}),
        stdout=PIPE,
        stderr=STDOUT,
    )
    output = (await run.communicate())[0].decode()

    failed = set(re.findall(r"^FAILED \S*::(\w+)", output, re.MULTILINE))
    assert failed == {"test_waits", "test_blocks", "test_has_a_fixture_that_is_never_cleared"}, output
    assert "3 failed, 4 passed" in output, output
    assert (tmp_path / "cleared").exists(), "what was cancelled could end what it had begun"
