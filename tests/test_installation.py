"""An environment is made from a lock, by real uv and pip, of packages from an index on loopback."""

import hashlib
import os
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.installation import DEVELOPERS_LOCK, ROOT, block, for_uv, pip_settings

pytestmark = pytest.mark.timeout(120)

WHEEL = "tiny-1-py3-none-any.whl"
UV_THAT_FAILS = '#!/bin/sh\ntest "$1" = --version\n'


class Quiet(SimpleHTTPRequestHandler):
    """An index of static files."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it has above
        """Nobody reads it."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index that has one package, `tiny`."""
    package = tmp_path / "index" / "tiny"
    package.mkdir(parents=True)
    with zipfile.ZipFile(package / WHEEL, "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "tiny.py,,\ntiny-1.dist-info/METADATA,,\ntiny-1.dist-info/WHEEL,,\n")
    (package / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "index"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path, index: str) -> Path:  # which makes the wheel
    """A lock of it alone."""
    digest = hashlib.sha256((tmp_path / "index" / "tiny" / WHEEL).read_bytes()).hexdigest()
    (tmp_path / "lock").write_text(f"tiny==1 \\\n    --hash=sha256:{digest}\n    # via nobody\n")
    return tmp_path / "lock"


@pytest.fixture
def environ(tmp_path: Path, index: str) -> dict[str, str]:
    """Nothing kept from before; pip's own file says where the index is, and what builds Relevo is there already."""
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index}\n")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return ours | {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_CACHE_DIR": str(tmp_path / "pip-cache"),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "PYTHONPATH": sysconfig.get_path("purelib"),
    }


def install(directory: Path, lock: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.installation", str(directory), str(lock)]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def installed(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("lib/python*/site-packages/*.dist-info")}


def test_uv_gets_packages_where_pip_is_told_to_and_a_second_time_finds_them_there(
    tmp_path: Path, lock: Path, environ: dict[str, str]
) -> None:
    directory = tmp_path / "environment"

    first, second = install(directory, lock, environ), install(directory, lock, environ)

    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr) == (0, "")
    assert installed(directory) == {"tiny-1", "relevo-0.1.0"}
    assert (directory / "bin" / "relevo").exists()
    assert not (directory / ".unfinished").exists()


def test_pip_does_it_where_uv_fails(tmp_path: Path, lock: Path, environ: dict[str, str]) -> None:
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text(UV_THAT_FAILS)
    uv.chmod(0o755)

    done = install(tmp_path / "environment", lock, environ)

    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("No working uv was found, so pip installs them")
    assert installed(tmp_path / "environment") >= {"tiny-1", "relevo-0.1.0"}


@pytest.mark.parametrize(
    "locked", [f"tiny==1 \\\n    --hash=sha256:{'0' * 64}\n", "tiny==1\n"], ids=["of another file", "of none"]
)
def test_a_file_that_the_lock_has_no_hash_of_is_not_installed(
    tmp_path: Path, lock: Path, environ: dict[str, str], locked: str
) -> None:
    lock.write_text(locked)

    done = install(tmp_path / "environment", lock, environ)

    assert done.returncode == 1
    assert "hash" in done.stderr.lower()
    assert "tiny-1" not in installed(tmp_path / "environment")


def test_what_was_broken_off_is_made_anew(tmp_path: Path, lock: Path, environ: dict[str, str]) -> None:
    directory = tmp_path / "environment"
    directory.mkdir()
    (directory / ".unfinished").touch()
    (directory / "half").touch()

    assert install(directory, lock, environ).returncode == 0

    assert not (directory / "half").exists()
    assert "tiny-1" in installed(directory)


@pytest.mark.parametrize(
    ("listed", "environ", "variable", "expected"),
    [
        ("global.index-url='https://a/simple'", {}, "UV_DEFAULT_INDEX", "https://a/simple"),
        ("install.index-url='https://b'\nglobal.index-url='https://a'", {}, "UV_DEFAULT_INDEX", "https://b"),
        ("install.index-url='https://b'", {"PIP_INDEX_URL": "https://c"}, "UV_DEFAULT_INDEX", "https://c"),
        ("download.index-url='https://b'", {}, "UV_DEFAULT_INDEX", None),
        ("global.index-url='https://b'", {"PIP_INDEX_URL": ""}, "UV_DEFAULT_INDEX", "https://b"),
        ("", {}, "UV_INDEX_STRATEGY", None),
        ("global.extra-index-url='\\nhttps://a\\nhttps://b'", {}, "UV_INDEX", "https://a https://b"),
        ("", {"PIP_EXTRA_INDEX_URL": "https://a"}, "UV_INDEX_STRATEGY", "unsafe-best-match"),
        ("", {"PIP_FIND_LINKS": "/wheels /more"}, "UV_FIND_LINKS", "/wheels,/more"),
        ("", {"PIP_NO_INDEX": "true"}, "UV_NO_INDEX", "1"),
        ("", {"PIP_NO_INDEX": "0"}, "UV_NO_INDEX", None),
        ("global.trusted-host='a b:8080'", {}, "UV_INSECURE_HOST", "a b:8080"),
        ("global.timeout='180'", {}, "UV_HTTP_TIMEOUT", "180"),
        ("global.proxy='http://p:3128'", {}, "HTTPS_PROXY", "http://p:3128"),
        ("global.cert='/ca.pem'", {"REQUESTS_CA_BUNDLE": "/other.pem"}, "SSL_CERT_FILE", "/ca.pem"),
        ("", {"REQUESTS_CA_BUNDLE": "/other.pem"}, "SSL_CERT_FILE", "/other.pem"),
        ("global.cert='/'", {}, "SSL_CERT_DIR", "/"),
        ("global.client-cert='/me.pem'", {}, "SSL_CLIENT_CERT", "/me.pem"),
        ("global.index-url='https://a/?b=c'", {}, "UV_DEFAULT_INDEX", "https://a/?b=c"),
    ],
)
def test_what_pip_is_told_uv_is_told(listed: str, environ: dict[str, str], variable: str, expected: str | None) -> None:
    assert for_uv(pip_settings(listed, environ), environ).get(variable) == expected


def test_the_developers_lock_has_the_uv_that_pip_brings() -> None:
    name, *hashes = block(DEVELOPERS_LOCK.read_text(), "uv").splitlines()

    assert name.startswith("uv==")
    assert hashes
    assert all("--hash=sha256:" in each for each in hashes)
    assert not hashes[-1].endswith("\\")
