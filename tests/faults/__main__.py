"""`python -m tests.faults [--seed N] [fault ...]` prints a table in Markdown and fails when a promise was broken, or
when a fault did not happen."""

import argparse
import asyncio
import random
import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence

from tests.faults.cases import FAULTS
from tests.faults.site import Finding, Site, open_site, suffer

HEAD = """\
| fault | seen | accepted | delivered | exhausted | scheduled | lost | duplicates | recovery | peak memory |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"""


async def main(arguments: Sequence[str]) -> int:
    """The number of faults that went wrong."""
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], metavar="fault", help=", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats the chances of a run")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    _write(f"Seed {options.seed}.\n\n{HEAD}")
    names = options.faults or list(FAULTS)
    wrong = await _suffer_all(deque(names), seed=options.seed)
    _write(f"\n{len(names)} faults in {time.monotonic() - began:.0f} s; {wrong or 'none'} went wrong.")
    return wrong


async def _suffer_all(names: deque[str], *, seed: int) -> int:
    """On one site, as long as that recovers; the rest on a new one."""
    wrong = 0
    while names:
        async with open_site() as site:
            well = True
            while names and well:
                well = await _show(names.popleft(), site, seed=seed)
                wrong += not well
    return wrong


async def _show(name: str, site: Site, *, seed: int) -> bool:
    """Whether all went well."""
    fault = FAULTS[name]
    what = " ".join((fault.__doc__ or "").split()).removesuffix(".")
    try:
        finding = await suffer(fault, site, chance=random.Random(f"{seed} {name}"))
    except Exception:  # noqa: BLE001 - whatever it is, the other faults are to be seen as well
        _write(f"| {what} | failed |  |  |  |  |  |  |  |  |")
        traceback.print_exc()
        return False
    _write(_row(what, finding))
    return finding.promise_kept


def _row(what: str, finding: Finding) -> str:
    account = finding.account
    trespasses = f", {finding.trespasses} TRESPASSES" if finding.trespasses else ""
    return (
        f"| {what} | {finding.hit.count:,} {finding.hit.what}{trespasses} | {account.accepted:,} "
        f"| {account.delivered:,} | {account.exhausted} | {account.scheduled} | {account.lost} | {account.duplicates} "
        f"| {finding.recovery:.1f} s | {finding.peak} MB |"
    )


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
