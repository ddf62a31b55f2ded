"""`make manifests`: the copies that kustomize and Helm need within their own directories, and the chart's templates."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

from deploy.manifests.copies import copies
from deploy.manifests.templates import templates

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write what is out of date and name it, or with --check only name it."""
    parser = ArgumentParser("manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something is out of date")
    stale = _stale({**copies(ROOT), **templates(ROOT)})
    if parser.parse_args().check:
        if stale:
            sys.stderr.write(f"Out of date, `make manifests` writes them anew: {', '.join(stale)}\n")
        return 1 if stale else 0
    for name, text in stale.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text)
        sys.stdout.write(f"{name}\n")
    return 0


def _stale(wanted: Mapping[str, str]) -> Mapping[str, str]:
    return {
        name: text for name, text in wanted.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    }


if __name__ == "__main__":
    sys.exit(main())
