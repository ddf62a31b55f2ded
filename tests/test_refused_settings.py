"""Every setting with every kind of bad value: the command says a sentence that names it, or means what was written."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI

from service.__main__ import main
from service.adapters.machine.data_directory import generated_secrets
from service.adapters.machine.embedded import EmbeddedServer, EmbeddedUnavailable
from service.observability import variables
from service.observability.ops import serving
from service.runtime.listening import PortUnusable, listeners, listening
from service.settings import Settings, SettingsError
from tests.support.processes import run

BAD = {
    "a word": "nonsense",
    "a number": "17",
    "negative": "-1",
    "zero": "0",
    "huge": "9" * 400,
    "a fraction": "0.5",
    "an exponent": "1e400",
    "no number": "nan",
    "infinite": "inf",
    "unicode": "größe \U0001f600",
    "other digits": "٣",
    "half a character": "\udcff",
    "half a character in a long secret": "\udcff" * 40,
    "a control": "a\x1bb",
    "two lines": "a\nb",
    "JSON": '{"a": [1]}',
    "deep JSON": "[" * 5000,
    "half of JSON": "[",
    "commas": ",,,",
    "a quote": "'\"`$(x)",
    "a percent": "%zz%00%s{x}",
    "long": "a" * 20_000,
    "a URL": "ftp://[::1",
    "a database": "postgresql://h:x/%zz?sslmode=maybe",
}
EMPTY = {"empty": "", "blank": " ", "a tab": "\t"}
NAMES = [row.variable for row in Settings.describe()]
# Any text is one, or is looked at where it is used.
NUMBERS = re.compile(r"PORT|DAYS|TIMEOUT|MARGIN|DRAIN|AFTER|CONCURRENCY|PER_ENDPOINT|SCHEDULE|HTTPS_ONLY")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A directory to run in, no settings and no authorities; the log is as before afterwards."""
    for name in [name for name in os.environ if name.startswith(("RELEVO_", "OTEL_", "PG", "SSL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    generated_secrets(tmp_path / ".relevo")
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def tried(capsys: pytest.CaptureFixture[str], command: str = "token") -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([command])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize("name", [*NAMES, *sorted(variables.CHECKS)])
def test_a_bad_value_ends_the_command_with_a_sentence_that_names_the_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = 0
    for kind, value in BAD.items():
        monkeypatch.setenv(name, value)
        status, out, err = tried(capsys)
        if status == 0:
            assert len(out.splitlines()) == 1, (name, kind)
            continue
        refused += 1
        assert (status, out) == (2, ""), (name, kind, err)
        assert all(line.startswith("relevo: ") for line in err.splitlines()), (name, kind, err)
        assert name in err or "data directory" in err, (name, kind, err)
        assert "Traceback" not in err
        assert len(err) < 3000, (name, kind)
    if NUMBERS.search(name):
        assert refused >= len(BAD) - 6, "what is no number, or out of bounds, is not taken for one"


@pytest.mark.parametrize("name", [*NAMES, *sorted(variables.CHECKS)])
def test_an_empty_value_is_none(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for value in EMPTY.values():
        monkeypatch.setenv(name, value)

        assert tried(capsys)[::2] == (0, "")


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "reencrypt", "token"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELEVO_PORT", "web"),
        ("RELEVO_DATABASE_URL", "postgresql://h/d?channel_binding=require"),
        ("RELEVO_JWT_SECRET", "short"),
        ("RELEVO_DATA_DIR", "/dev/null/relevo"),
        ("RELEVO_DATA_DIR", "/dev/null"),
        ("RELEVO_DATA_DIR", "a" * 300),
        ("RELEVO_DATA_DIR", "~nobody of that name/relevo"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("PGSSLMODE", "maybe"),
        ("PGPASSWORD", "\udcff"),
        ("OTEL_SERVICE_NAME", "\udcff"),
        ("RELEVO_DATABASE_URL", "postgresql://h/\udcff"),
        ("SSL_CERT_FILE", "/nowhere"),
        ("SSL_CERT_FILE", "/dev/null"),
    ],
)
def test_every_command_refuses_it_alike(
    command: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    if name.startswith("PG"):
        monkeypatch.setenv("RELEVO_DATABASE_URL", "postgresql://h/d")

    status, out, err = tried(capsys, command)

    assert (status, out) == (2, "")
    assert re.fullmatch(r"relevo: [^\n]+\n", err)
    assert name in err or "RELEVO_DATA_DIR" in err


@pytest.mark.parametrize("host", ["a b", "http://h", "h:80", "[::1]", "a/b", "-h", "ü", "h" * 300, "::g", "@h"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^RELEVO_HOST: it is .* Example: 0.0.0.0$"):
        Settings.from_environment({"RELEVO_HOST": host})


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7", "256.256.256.256"])
def test_a_host_of_another_machine_is_told(host: str) -> None:
    settings = Settings.from_environment({"RELEVO_HOST": host, "RELEVO_PORT": "0"})

    with (
        pytest.raises(SettingsError, match=r"^RELEVO_HOST: '.*' is not an address of this machine"),
        listeners(settings, api=True),
    ):
        pass


@pytest.mark.parametrize(
    ("variable", "api"), [("RELEVO_PORT", True), ("RELEVO_OPS_PORT", True), ("RELEVO_OPS_PORT", False)]
)
def test_a_port_in_use_is_told_before_anything_is_started(variable: str, *, api: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings.from_environment({"RELEVO_PORT": "0", variable: str(port)})

        with (
            pytest.raises(PortUnusable, match=rf"^Port {port} of 127.0.0.1 is in use .* set {variable} to another"),
            listeners(settings, api=api),
        ):
            pass


def test_operators_need_a_port_of_their_own_where_the_api_is_served() -> None:
    settings = Settings.from_environment({"RELEVO_PORT": "18764", "RELEVO_OPS_PORT": "18764"})

    with (
        pytest.raises(SettingsError, match=r"^RELEVO_OPS_PORT: it equals RELEVO_PORT"),
        listeners(settings, api=True),
    ):
        pass
    with listeners(settings, api=False) as taken:
        assert [one.getsockname()[1] for one in taken.ops] == [18764]


@pytest.mark.parametrize("host", ["::", "::0", "0:0:0:0:0:0:0:0", "::ffff:127.0.0.1"])
def test_an_address_of_both_families_serves_ipv4_however_it_is_written(host: str) -> None:
    with listeners(Settings.from_environment({"RELEVO_PORT": "0", "RELEVO_HOST": host}), api=True) as taken:
        (listener,) = taken.api
        listener.listen()

        with socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
            pass


def test_nobody_can_connect_before_there_is_somebody_to_answer() -> None:
    with listeners(Settings.from_environment({"RELEVO_PORT": "0"}), api=True) as taken:
        (listener,) = taken.api

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname())


async def test_how_many_processes_other_programs_have_is_nothing_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")

    async with serving([], sockets=[]):
        assert listening(FastAPI()).workers == 1


@pytest.mark.timeout(120)
async def test_a_server_on_a_port_in_use_exits_with_1_and_has_not_started_postgresql(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = await run(
            "serve", environ={"RELEVO_PORT": str(port), "RELEVO_DATA_DIR": str(tmp_path / "d")}
        )

    assert (status, out) == (1, "")
    assert err == f"relevo: Port {port} of 127.0.0.1 is in use by another process: set RELEVO_PORT to another one.\n"
    assert not (tmp_path / "d" / "postgres").exists()


@pytest.mark.parametrize(
    "name",
    [
        "with,comma",
        "with blank",
        "quo'te",
        *(f"a{special}b" for special in ';&|<>()*?[]{}!^$`\\"\n'),
        "/".join(["a" * 200] * 4),
    ],
)
def test_a_directory_that_postgresql_cannot_live_in_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(EmbeddedUnavailable, match=r"^PostgreSQL cannot live in [^\n]+: set RELEVO_DATA_DIR to [^\n]+$"):
        EmbeddedServer(tmp_path / name).acquire()
