"""Makes the environment `.venv` from a lock: `python3 -m deploy.installation .venv requirements.lock`.

Uses uv, which takes seconds: the machine's own, or the one in the lock, which pip installs first. If neither works, pip
installs everything. This module runs before anything is installed, so it uses the standard library only. Only packages
with a hash in the lock are installed, and uv gets the same index, proxy and certificates that pip is configured with.
"""

import ast
import fcntl
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from venv import EnvBuilder

ROOT = Path(__file__).resolve().parents[1]
DEVELOPERS_LOCK = ROOT / "requirements-dev.lock"

INTERRUPTED = 130

_BLOCK = re.compile(r"^(\S+)==[^\n]*\\\n(?: +--hash=\S+(?: \\)?\n)+", re.MULTILINE)
_RELEVO = ("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
_FIRST_WITH_PYTHON_OPTION = (22, 3)  # the pip that can install into another environment
_SECTIONS = ("global", "install", ":env:")  # of pip's settings; later ones override earlier ones
_TRUE = {"1", "true", "yes", "on"}


def main(arguments: Sequence[str]) -> int:
    """Make or repair the environment; returns the exit status."""
    directory, lock = map(Path, arguments)
    with _alone():
        environment = Environment(directory)
        environment.begin()
        count = len(_BLOCK.findall(lock.read_text()))
        sys.stdout.write(f"Installing {count} packages into {directory} ...\n")
        sys.stdout.flush()
        if not (environment.install_by_uv(lock) or environment.install_by_pip(lock)):
            sys.stderr.write(
                "The packages could not be installed; the reason is above. If they have to come from another index or "
                "through a proxy, configure pip (`pip config set global.index-url ...`): uv gets the same settings.\n"
            )
            return 1
        environment.end()
    return 0


class Environment:
    """A virtual environment. It contains a marker file while it is being made; one left with the marker is made
    again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._mark = self._directory / ".unfinished"
        self._python = str(self._directory / "bin" / "python")

    def begin(self) -> None:
        """Make it, without pip, which would take longer than all the rest."""
        EnvBuilder(symlinks=True, clear=self._mark.exists()).create(self._directory)
        self._mark.touch()

    def end(self) -> None:
        """Remove the marker: the environment is complete."""
        self._mark.unlink()

    def install_by_uv(self, lock: Path) -> bool:
        """Install everything by uv; whether that worked."""
        with self._settings_of_pip() as asked:  # runs beside the look for uv, since both take a second
            uv = self._uv()
            listed, _ = asked.communicate()
        if uv is None:
            return False
        environ = for_uv(pip_settings(listed, os.environ), os.environ) | dict(os.environ)
        install = [uv, "pip", "install", "--python", self._python]
        loud = [] if sys.stderr.isatty() else ["--quiet"]
        locked = [*install, *loud, "--compile-bytecode", "--require-hashes", "--requirement", str(lock)]
        return _done(locked, environ) and _done([*install, "--quiet", *_RELEVO], environ)

    def install_by_pip(self, lock: Path) -> bool:
        """Install everything by pip; whether that worked."""
        sys.stderr.write("No working uv was found, so pip installs them, which takes a minute or more.\n")
        pip = self._pip()
        if pip is None:
            sys.stderr.write(f"{sys.executable} has neither pip nor ensurepip: install one of them, or uv.\n")
            return False
        install = [*pip, "install", "--disable-pip-version-check"]
        loud = [] if sys.stderr.isatty() else ["--quiet"]
        locked = [*install, *loud, "--require-hashes", "--requirement", str(lock)]
        return _done(locked) and _done([*install, "--quiet", *_RELEVO])

    def _uv(self) -> str | None:
        own = str(self._directory / "bin" / "uv")
        for each in (own, shutil.which("uv")):
            if each and _answers([each, "--version"]):
                return each
        return own if self._bring_uv() and _answers([own, "--version"]) else None

    def _bring_uv(self) -> bool:
        """Install the uv of the developers' lock by pip, checked by its hash; whether that worked."""
        pip = self._pip()
        if pip is None:
            return False
        pinned = self._directory / ".uv.lock"
        pinned.write_text(block(DEVELOPERS_LOCK.read_text(), "uv"))
        command = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        return _done([*command, "--require-hashes", "--requirement", str(pinned)])

    def _pip(self) -> list[str] | None:
        """The command of a pip that installs into this environment: its own, the machine's, or ensurepip's."""
        inside = [self._python, "-m", "pip"]
        if self._has_pip():
            return inside
        if _machine_has_pip():
            return [sys.executable, "-m", "pip", "--python", self._python]
        return inside if _answers([self._python, "-m", "ensurepip"]) else None

    def _settings_of_pip(self) -> "subprocess.Popen[str]":
        python = self._python if self._has_pip() else sys.executable
        command = [python, "-m", "pip", "--disable-pip-version-check", "config", "list"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603  # ours

    def _has_pip(self) -> bool:
        return any(self._directory.glob("lib/python*/site-packages/pip/__main__.py"))


def block(lock: str, name: str) -> str:
    """The lines of a package in a lock: its version and hashes."""
    return next(found.group() for found in _BLOCK.finditer(lock) if found.group(1) == name).rstrip("\\\n ") + "\n"


def pip_settings(listed: str, environ: Mapping[str, str]) -> dict[str, str]:
    """pip's settings for installing, from the output of `pip config list` and from `PIP_*` variables."""
    told: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        if section in told:
            told[section][key] = str(ast.literal_eval(value))
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            told[":env:"][name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {key: value for section in _SECTIONS for key, value in told[section].items()}


def for_uv(told: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The same settings as variables of uv."""
    variables = {
        "UV_DEFAULT_INDEX": told.get("index-url", ""),
        "UV_INDEX": " ".join(told.get("extra-index-url", "").split()),
        # pip treats all indexes alike. The hashes decide which file is meant.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if "extra-index-url" in told else "",
        "UV_FIND_LINKS": ",".join(told.get("find-links", "").split()),
        "UV_NO_INDEX": _flag(told.get("no-index")),
        "UV_INSECURE_HOST": " ".join(told.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": told.get("timeout", ""),
        "UV_NO_CACHE": _flag(told.get("no-cache-dir")),
        "HTTP_PROXY": told.get("proxy", ""),
        "HTTPS_PROXY": told.get("proxy", ""),
        "SSL_CLIENT_CERT": told.get("client-cert", ""),
        **_certificates(told, environ),
    }
    return {name: value for name, value in variables.items() if value}


def _certificates(told: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    bundle = told.get("cert") or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    if bundle:
        return {"SSL_CERT_DIR" if Path(bundle).is_dir() else "SSL_CERT_FILE": bundle}
    # Like pip, use the machine's certificates, for example a company proxy's; without any, uv's own.
    here = ssl.get_default_verify_paths()
    return {"UV_SYSTEM_CERTS": "1" if here.cafile or here.capath else ""}


def _flag(text: str | None) -> str:
    return "1" if text is not None and text.lower() in _TRUE else ""


def _machine_has_pip() -> bool:
    try:
        return tuple(map(int, re.findall(r"\d+", version("pip"))[:2])) >= _FIRST_WITH_PYTHON_OPTION
    except PackageNotFoundError:
        return False


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  # ours
    except OSError:
        return False


def _done(command: list[str], environ: Mapping[str, str] | None = None) -> bool:
    return subprocess.run(command, env=environ, check=False).returncode == 0  # noqa: S603  # one of those above


@contextmanager
def _alone() -> Iterator[None]:
    """A lock, so that two runs at the same time, as from two terminals, take turns."""
    with (ROOT / "pyproject.toml").open() as project:
        fcntl.flock(project, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
