"""Takes out of an environment what an installed Relevo does not need: the lock also has what developing takes."""

import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions, requires

from packaging.requirements import Requirement


def main() -> None:
    """Uninstall it, pip itself last of all by being among it."""
    superfluous = sorted(set(_installed()) - _needed("relevo"))
    command = [sys.executable, "-m", "pip", "uninstall", "--yes", *superfluous]
    subprocess.run(command, check=True)  # noqa: S603  # our own environment's pip


def _installed() -> dict[str, Distribution]:
    return {_normal(each.name): each for each in distributions()}


def _needed(root: str) -> set[str]:
    """The distribution and everything it requires here, extras included."""
    present, found, open_ends = _installed(), set[str](), [(root, "")]
    seen: set[tuple[str, str]] = set()
    while open_ends:
        name, extra = open_ends.pop()
        if (name, extra) in seen or name not in present:
            continue
        seen.add((name, extra))
        found.add(name)
        for requirement in map(Requirement, requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                open_ends += [(_normal(requirement.name), each) for each in {"", *requirement.extras}]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
