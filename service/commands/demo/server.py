"""Runs `relevo serve` as a process, with short retry delays and all its files in one directory."""

import asyncio
import os
import secrets
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.05


class ServerFailed(Exception):
    """The server did not get ready; the text is the end of what it logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevo:
    """A server that is ready, and an organisation's token for it. `environ` are its variables."""

    url: str
    token: str
    environ: Mapping[str, str] = field(repr=False)

    async def new_token(self) -> str:
        """One more token of the organisation, for an hour. ServerFailed."""
        return await _token(self.environ, "--expires", "1h")


@asynccontextmanager
async def running_relevo(directory: Path, telemetry: Mapping[str, str]) -> AsyncIterator[Relevo]:
    """Starts a server, waits until it is ready, and stops it by SIGTERM. ServerFailed when it does not start.

    `telemetry` are the `OTEL_*` variables.
    """
    port = _free_port()
    environment = {**_environment(directory, port=port), **telemetry}
    log = directory / "relevo.log"
    with log.open("wb") as output:
        # In a session of its own, so that Ctrl-C reaches the demo only, which then stops the server in good order.
        process = await asyncio.create_subprocess_exec(
            *_command("serve"), env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        token = await _token_for_ready(url, process, log, environment)
        yield Relevo(url=url, token=token, environ=environment)
    finally:
        await _stop(process)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "service", *arguments]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(directory: Path, *, port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RELEVO_", "OTEL_"))}
    return inherited | {
        "RELEVO_DATA_DIR": str(directory / "data"),
        "RELEVO_HOST": "127.0.0.1",
        "RELEVO_PORT": str(port),
        # Set here, so that the token can be made while the server starts.
        "RELEVO_JWT_SECRET": secrets.token_urlsafe(32),
        "RELEVO_SECRET_KEY": secrets.token_urlsafe(32),
        "RELEVO_EGRESS_ALLOW": "127.0.0.0/8",
        "RELEVO_RETRY_SCHEDULE": "[1, 1, 1, 2]",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


async def _token_for_ready(url: str, process: Process, log: Path, environment: dict[str, str]) -> str:
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_wait_until_ready(url, process, log))
            token = both.create_task(_token(environment))
    except* ServerFailed as failures:
        raise failures.exceptions[0] from None
    return token.result()


async def _wait_until_ready(url: str, process: Process, log: Path) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient(trust_env=False) as client:
            while not await _is_ready(client, url):
                if process.returncode is not None:
                    raise ServerFailed(_end_of(log))
                await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError:
        raise ServerFailed(_end_of(log)) from None


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


async def _token(environment: Mapping[str, str], *options: str) -> str:
    command = _command("token", *options)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    try:
        out, err = await process.communicate()
    finally:
        await _stop(process)
    if process.returncode:
        raise ServerFailed(err.decode(errors="replace"))
    return out.decode().split()[-1]


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
