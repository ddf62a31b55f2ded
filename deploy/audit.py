"""What is known against the dependencies: that all are pinned by hashes and fit together, and published advisories.

Exit status 1 when something is wrong. Advisories need a network: where their source does not answer, that is said as
loudly as can be, and is no failure, so that the checks can be made anywhere.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"  # what running takes
DEVELOPERS_LOCK = LOCK.with_name("requirements-dev.lock")  # the same, and what developing takes besides
PATIENCE = 60  # seconds for all advisories together
TO_CONNECT = 5

_PIN = re.compile(r"[A-Za-z0-9._-]+(\[[^]]*\])?==[^\s;]+(\s*;[^\\]*)?(\s*\\\n\s*--hash=sha256:[0-9a-f]{64})+\s*")


class NotLookedUp(Exception):
    """The advisories could not be had; the text says why."""


def main() -> int:
    """Tell what is wrong; the exit status."""
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
    """Every requirement of a lock file that is not one version with its hashes, and every address in it."""
    return [f"{each.splitlines()[0]} is not pinned by hashes" for each in _pins(lock) if not _PIN.fullmatch(each)]


def apart(run: str, developed: str) -> list[str]:
    """What is run and not also developed with: of each package both locks have the same version with the same files."""
    return [f"{each.splitlines()[0]} is not the same in both locks" for each in set(_pins(run)) - set(_pins(developed))]


def _pins(lock: str) -> list[str]:
    return re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", lock, flags=re.MULTILINE).strip())


def vulnerable(known: list[dict[str, Any]]) -> list[str]:
    """The packages that advisories concern, with the versions that mend them."""
    return [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package.get("vulns", ())
    ]


def _misfits() -> list[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own environment's pip
    return done.stdout.splitlines() if done.returncode else []


def _advisories() -> list[dict[str, Any]]:
    """Each package with what is known against it. NotLookedUp."""
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
        command += ["--vulnerability-service", "osv", "--timeout", str(TO_CONNECT), "--progress-spinner", "off"]
        command += ["--format", "json", "--output", str(report)]
        try:
            done = subprocess.run(  # noqa: S603  # a program of our own environment
                command, capture_output=True, text=True, check=False, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise NotLookedUp(f"Their source did not answer within {PATIENCE} s.") from None
        if not report.exists():
            raise NotLookedUp("".join(done.stderr.splitlines()[-1:]))
        packages: list[dict[str, Any]] = json.loads(report.read_text())["dependencies"]
        return packages


if __name__ == "__main__":
    sys.exit(main())
