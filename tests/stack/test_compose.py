"""The compose file, read by compose itself."""

import asyncio
import json
import os
import re
import struct
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from deploy.stack import programs
from deploy.stack.processes import ROOT
from tests.support.processes import run

# What some or other of URL, YAML, shell and compose would take for something else.
PASSWORDS = ["p@ss:w/ord?#[1]", "100%25 & $HOME $$ ${X}", "'single' \"double\" `back` \\", "{a: b} # | > - ü€", "!&*"]


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The file as compose understands it, every profile included."""
    return understood({})


def understood(environ: Mapping[str, str]) -> dict[str, Any]:
    """The file as compose's own reader understands it where these variables are set."""
    command = [str(programs.build(programs.COMPOSE)), "docker-compose.yml"]
    document: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, env=environ))
    return document


@pytest.mark.parametrize("password", PASSWORDS)
async def test_a_password_of_any_characters_reaches_postgresql(password: str) -> None:
    services = understood({"POSTGRES_PASSWORD": password})["services"]
    wanted = services["postgres"]["environment"]["POSTGRES_PASSWORD"]

    async with asking_for_a_password() as (port, given):
        environment = {**services["migrate"]["environment"], "RELEVO_DATABASE_URL": ""}
        url = services["migrate"]["environment"]["RELEVO_DATABASE_URL"]
        environment["RELEVO_DATABASE_URL"] = url.replace("@postgres/", f"@127.0.0.1:{port}/")
        status, _, told = await run("migrate", environ={"PATH": os.environ["PATH"], **environment})

    assert (wanted, given) == (password, [password])
    assert status == 1
    assert "that is not it" in told


async def test_one_command_gives_a_token_that_the_server_takes(compose: dict[str, Any]) -> None:
    token, serve = compose["services"]["token"], compose["services"]["serve"]
    command, *arguments = token["entrypoint"]

    status, out, _ = await run(*arguments, environ={"PATH": os.environ["PATH"], **token["environment"]})

    assert (command, token["network_mode"], status) == ("relevo", "none", 0)
    jwt.decode(out.strip(), serve["environment"]["RELEVO_JWT_SECRET"], ["HS256"], options={"verify_aud": False})


def test_jaeger_keeps_its_traces_in_a_volume(compose: dict[str, Any]) -> None:
    jaeger = compose["services"]["jaeger"]
    volumes = {mount["target"]: mount["source"] for mount in jaeger["volumes"] if mount["type"] == "volume"}

    assert volumes[jaeger["environment"]["JAEGER_DIRECTORY"]] in compose["volumes"]


def test_every_image_has_a_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()}

    assert all(re.fullmatch(r"[^:]+:v?\d+\.\d+(\.\d+)?", image) for image in images)


def test_nothing_is_published_beyond_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_database_is_on_a_network_without_a_way_out(compose: dict[str, Any]) -> None:
    assert set(compose["services"]["postgres"]["networks"]) == {"database"}
    assert compose["networks"]["database"]["internal"] is True


def test_relevo_serves_once_the_schema_is_there(compose: dict[str, Any]) -> None:
    for name in ("serve", "worker"):
        assert compose["services"][name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert compose["services"]["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_relevo_needs_no_privilege_and_writes_nothing_to_its_image(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if service["image"].startswith("relevo:")]

    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_the_containers_read_from_the_tree_is_there(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    bound = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]

    assert bound
    assert all(path.exists() for path in bound)


def test_every_address_that_the_collector_is_given_is_one_it_reads() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    for service, config in {"collector": "otel-collector.yaml", "jaeger": "deploy/jaeger/jaeger.yaml"}.items():
        text = (ROOT / config).read_text()
        assert all(f"${{env:{name}:-" in text for name in document["services"][service]["environment"])


@asynccontextmanager
async def asking_for_a_password() -> AsyncIterator[tuple[int, list[str]]]:
    """The port of what speaks as PostgreSQL does, asks for a password and refuses it; and all it was given."""
    given: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await _startup(reader) == _WANTS_TLS:
            writer.write(b"N")
            await _startup(reader)
        writer.write(b"R" + struct.pack("!ii", 8, 3))
        kind, length = struct.unpack("!ci", await reader.readexactly(5))
        answer = await reader.readexactly(length - 4)
        assert kind == b"p"
        given.append(answer.rstrip(b"\0").decode())
        fields = b"SFATAL\0VFATAL\0C28P01\0Mthat is not it\0\0"
        writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], given


_WANTS_TLS = 80877103


async def _startup(reader: asyncio.StreamReader) -> int:
    """The code of a first message, which says the protocol's version or that the client would have TLS."""
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    (code,) = struct.unpack_from("!i", await reader.readexactly(length - 4))
    return int(code)
