"""`python -m tests.faults [--seed N] [fault ...]` prints a table in Markdown and fails when anything was lost."""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence

from tests.faults.cases import FAULTS
from tests.faults.site import Fault, Finding, suffer

HEAD = """\
| fault | accepted | lost | duplicates | recovery | peak memory |
|---|---:|---:|---:|---:|---:|"""


async def main(arguments: Sequence[str]) -> int:
    """The number of faults that lost a message."""
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], metavar="fault", help=", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats the chances of a run")
    options = parser.parse_args(arguments)
    _write(f"Seed {options.seed}.\n\n{HEAD}")
    findings = [await _show(FAULTS[name], seed=options.seed) for name in options.faults or FAULTS]
    return sum(1 for finding in findings if finding.account.lost)


async def _show(fault: Fault, *, seed: int) -> Finding:
    finding = await suffer(fault, seed=seed)
    account = finding.account
    what = (fault.__doc__ or "").strip().removesuffix(".")
    _write(
        f"| {' '.join(what.split())} | {account.accepted} | {account.lost} | {account.duplicates} "
        f"| {finding.recovery:.1f} s | {finding.peak} MB |"
    )
    return finding


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
