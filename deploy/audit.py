"""Checks the dependencies: all are pinned by hashes, they fit together, and no published advisory concerns them.

Exit status 1 when something is wrong. Advisories need a network: when their source does not answer, a loud warning is
printed and the check does not fail, so that it can run anywhere.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"  # packages for running
DEVELOPERS_LOCK = LOCK.with_name("requirements-dev.lock")  # the same, and those for developing
LOOKUP_TIMEOUT_S = 60  # for all advisories together
CONNECT_TIMEOUT_S = 5

_PIN = re.compile(r"[A-Za-z0-9._-]+(\[[^]]*\])?==[^\s;]+(\s*;[^\\]*)?(\s*\\\n\s*--hash=sha256:[0-9a-f]{64})+\s*")


class NotLookedUp(Exception):
    """The advisories could not be looked up; the text says why."""


def main() -> int:
    """Print what is wrong; returns the exit status."""
    run, developed = LOCK.read_text(), DEVELOPERS_LOCK.read_text()
    faults = [*unpinned(run), *unpinned(developed), *apart(run, developed), *_misfits()]
    try:
        known = _advisories()
        faults += vulnerable(known)
        sys.stdout.write(f"audit: advisories were looked up for {len(known)} packages\n")
    except NotLookedUp as error:
        sys.stderr.write(f"\n  *** NO ADVISORIES WERE LOOKED UP ***\n  {error}\n\n")
    for fault in faults:
        sys.stderr.write(f"audit: {fault}\n")
    return 1 if faults else 0


def unpinned(lock: str) -> list[str]:
    """Each requirement of a lock file that is not one version with its hashes, and each address in it."""
    return [f"{each.splitlines()[0]} is not pinned by hashes" for each in _pins(lock) if not _PIN.fullmatch(each)]


def apart(run: str, developed: str) -> list[str]:
    """Each package of the run lock that the developers' lock does not have with the same version and hashes."""
    return [f"{each.splitlines()[0]} is not the same in both locks" for each in set(_pins(run)) - set(_pins(developed))]


def _pins(lock: str) -> list[str]:
    return re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", lock, flags=re.MULTILINE).strip())


def vulnerable(known: list[dict[str, Any]]) -> list[str]:
    """The packages that advisories concern, with the versions that fix them."""
    return [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package.get("vulns", ())
    ]


def _misfits() -> list[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own environment's pip
    return done.stdout.splitlines() if done.returncode else []


def _advisories() -> list[dict[str, Any]]:
    """Each package with its advisories. Raises NotLookedUp."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--requirement",
            str(DEVELOPERS_LOCK),
            "--require-hashes",
            "--disable-pip",
        ]
        command += ["--require-hashes", "--disable-pip"]
        command += ["--vulnerability-service", "osv", "--timeout", str(CONNECT_TIMEOUT_S), "--progress-spinner", "off"]
        command += ["--format", "json", "--output", str(report)]
        try:
            done = subprocess.run(  # noqa: S603  # a program of our own environment
                command, capture_output=True, text=True, check=False, timeout=LOOKUP_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            raise NotLookedUp(f"Their source did not answer within {LOOKUP_TIMEOUT_S} s.") from None
        if not report.exists():
            raise NotLookedUp("".join(done.stderr.splitlines()[-1:]))
        packages: list[dict[str, Any]] = json.loads(report.read_text())["dependencies"]
        return packages


if __name__ == "__main__":
    sys.exit(main())
