"""The command and what is around it: who looks on while it waits, and whose directory it is given."""

import asyncio
import os
import pty
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from httpx import AsyncClient, TransportError

from service.adapters.access.tokens import Tokens
from service.domain.tokens import is_digest
from tests.support.processes import READY_WITHIN, SECRET, asking, command, environment, free_port, run_anew, settings

NOBODY = 65_534
# What lets root read and write what its mode does not: without it root is a user like any other.
AS_ANY_USER = (
    "import ctypes, os, sys\n"
    "for power in (1, 2): assert os.geteuid() or ctypes.CDLL(None).prctl(24, power, 0, 0, 0) == 0\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)

pytestmark = pytest.mark.timeout(120)


async def test_whoever_looks_on_is_told_what_is_waited_for_and_a_pipe_is_not(directory: Path) -> None:
    own = {"RELEVO_DATA_DIR": str(directory / "data")}
    away = settings(RELEVO_DATABASE_URL="postgresql://relevo:hush@127.0.0.1:1/relevo")
    migrating = "relevo: bringing the database to this release's schema ..."

    shown = [await at_a_terminal("migrate", environ=environ) for environ in (own, away)]
    piped = [(await run_anew("migrate", environ=environ))[2] for environ in (own, away)]

    assert shown[0] == [f"relevo: starting PostgreSQL in {directory / 'data'} ...", migrating]
    assert shown[1][:2] == ["relevo: connecting to PostgreSQL at 127.0.0.1:1 ...", migrating]
    assert shown[1][2].startswith("relevo: The database cannot be reached: ")
    assert "hush" not in str(shown)
    assert piped[0] == ""
    assert piped[1].startswith("relevo: The database cannot be reached: ")


async def test_who_makes_a_token_at_a_terminal_is_told_how_it_can_be_ended() -> None:
    environ = {"RELEVO_JWT_SECRET": SECRET}

    (told,) = await at_a_terminal("token", "org_x", environ=environ)
    _, out, err = await run_anew("token", "org_x", environ=environ)

    assert re.fullmatch(r"relevo: its tokenId, by which it can be revoked, is [0-9a-f]{32}", told)
    credential = Tokens(SECRET).verify(out.strip()).credential
    assert credential is not None
    assert is_digest(credential.id)
    assert err == ""


async def at_a_terminal(*arguments: str, environ: Mapping[str, str]) -> list[str]:
    """The lines that the command complains in, to the end, where they are read from a terminal."""
    ours, its = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), env=environment(environ), stdout=PIPE, stderr=its
        )
        os.close(its)
        said, _ = await asyncio.gather(asyncio.to_thread(everything, ours), process.communicate())
    finally:
        os.close(ours)
    return said.decode().splitlines()


def everything(terminal: int) -> bytes:
    said = b""
    with suppress(OSError):  # which is how a terminal ends
        while piece := os.read(terminal, 4096):
            said += piece
    return said


def read_only(place: Path) -> None:
    place.mkdir()
    place.chmod(0o555)


def somebody_elses(place: Path) -> None:
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    else:
        place.chmod(0)


def a_file(place: Path) -> None:
    place.touch()


def within_what_is_read_only(place: Path) -> None:
    place.parent.mkdir()
    place.parent.chmod(0o555)


def with_secrets_of_somebody_else(place: Path) -> None:
    place.mkdir()
    (place / "secrets.json").write_text("{}")
    (place / "secrets.json").chmod(0)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (read_only, "Permission denied"),
        (somebody_elses, "Permission denied"),
        (a_file, "A file is in its place"),
        (within_what_is_read_only, "Permission denied"),
        (with_secrets_of_somebody_else, "Permission denied"),
    ],
)
@pytest.mark.parametrize("asked", ["serve", "migrate"])
async def test_a_data_directory_that_cannot_be_used_is_told_in_a_sentence(
    tmp_path: Path, made: Callable[[Path], None], why: str, asked: str
) -> None:
    place = tmp_path / "a" / "data" if made is within_what_is_read_only else tmp_path / "data"
    made(place)
    environ = {"RELEVO_DATA_DIR": str(place), "RELEVO_PORT": str(free_port())}

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AS_ANY_USER, *command(asked)), env=environment(environ), stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()

    assert (process.returncode, out) == (2, b"")
    assert err.decode().startswith(f"relevo: {place} cannot be the data directory: {why}. Set RELEVO_DATA_DIR to a ")
    assert err.count(b"\n") == 1


@pytest.mark.parametrize(
    ("shell", "asked", "status", "said"),
    [
        ("2>&-", "migrate", 0, ""),
        ("2>&- >&-", "migrate", 1, ""),
        ("2>/dev/full", "token", 2, ""),
        (">&-", "migrate", 1, "it is closed"),
        (">&-", "token --name ci", 1, "it is closed"),
        (">/dev/full", "migrate", 1, "No space left on device"),
        ("| sleep 0; exit ${PIPESTATUS[0]}", "migrate", 1, "Broken pipe"),
    ],
)
async def test_what_cannot_be_written_is_told_where_it_can_be(
    shell: str, asked: str, status: int, said: str, database: str
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database) if status != 2 else settings(RELEVO_JWT_SECRET="short")
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'"$@" {shell}', "bash", *command(*asked.split())),
        env=environment(environ),
        stdout=PIPE,
        stderr=PIPE,
    )
    _, err = await process.communicate()

    refused = f"relevo: Standard output does not take what this command says: {said}. Send it to where there is room.\n"
    assert (process.returncode, err.decode()) == (status, refused if said else "")


async def test_a_server_without_standard_streams_serves(database: str) -> None:
    environ = settings(RELEVO_DATABASE_URL=database)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *command("serve")), env=environment(environ)
    )
    try:
        async with asyncio.timeout(READY_WITHIN), asking(f"http://127.0.0.1:{environ['RELEVO_PORT']}") as client:
            while not await is_ready(client):
                assert process.returncode is None
        process.terminate()
        assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def is_ready(client: AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).is_success
    except TransportError:
        return False
