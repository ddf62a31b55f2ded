"""The official Java SDK of the first line (1.x), from Maven: it fails on a body where it knows of none."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from tests.support.processes import SECRET, RelevoProcess, running, settings

HERE = Path(__file__).parent / "older_sdk"

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (shutil.which("mvn") and shutil.which("java")), reason="it takes Maven and Java"),
]


async def test_the_java_sdk_of_the_first_line_replaces_a_secret(database: str, tmp_path: Path) -> None:
    libraries = tmp_path / "lib"
    await _run("mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", f"-DoutputDirectory={libraries}")

    site = settings(RELEVO_DATABASE_URL=database, OTEL_SDK_DISABLED="true", RELEVO_LOG_LEVEL="error")
    token = Tokens(SECRET).mint(DEFAULT_ORGANISATION, now=datetime.now(UTC))
    async with running(RelevoProcess("serve", site, tmp_path / "log")):
        address = f"http://127.0.0.1:{site['RELEVO_PORT']}"
        said = await _run("java", "-cp", f"{libraries}/*", "OlderSdk.java", address, token)

    assert said.split("\n") == ["rotated", ""]


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=HERE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()
