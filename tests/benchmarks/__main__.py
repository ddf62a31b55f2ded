"""`python -m tests.benchmarks [--short] [--section NAME ...] [--profile] [--keep-baseline]`."""

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.bench import Bench, open_bench
from tests.benchmarks.measure import LeftOut, NotMeasured, Plan, PromiseBroken, Row
from tests.benchmarks.sections import AT_LENGTH, NAMES, section

WIDTH = 200


def main() -> int:
    """Measure, print the table, write `build/bench.json`. Fails when a section did, never for a figure."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    plan = Plan(short=options.short, profile=options.profile)
    with open_bench(plan, console, Path("build")) as bench:
        rows = [row for name in options.section or _every(plan) for row in _measured(bench, name)]
    report.tell(rows, console)
    document = report.shape(rows, plan, bench.costs)
    report.write(document, Path("build") / "bench.json")
    if options.keep_baseline:
        baseline = report.kept(document)
        report.write(baseline, report.BASELINE)
        report.put_into(report.DOCUMENT, baseline)
    _compare(rows, console)
    return 1 if any(isinstance(row, LeftOut) and row.failed for row in rows) else 0


def _every(plan: Plan) -> list[str]:
    return [name for name in NAMES if not (plan.short and name in AT_LENGTH)]


def _measured(bench: Bench, name: str) -> list[Row]:
    began = time.monotonic()
    try:
        return section(name)(bench)
    except NotMeasured as reason:
        return [LeftOut(section=name, key="*", reason=str(reason))]
    except PromiseBroken as broken:
        return [LeftOut(section=name, key="*", reason=f"PROMISE BROKEN: {broken}", failed=True)]
    except Exception as failed:  # noqa: BLE001 - what the other sections measured is not lost with this one
        bench.console.print_exception()
        return [LeftOut(section=name, key="*", reason=f"FAILED: {type(failed).__name__}: {failed}", failed=True)]
    finally:
        bench.console.print(f"{name}: {time.monotonic() - began:.0f} s")


def _compare(rows: list[Row], console: Console) -> None:
    for said in report.regressions(rows, json.loads(report.BASELINE.read_text())):
        console.print(f"[bold white on red] REGRESSION [/] {said}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="How fast is Relevo?")
    parser.add_argument(
        "--short",
        action="store_true",
        help="one short turn, small tables, without the longest sections: two minutes, to see that it works",
    )
    parser.add_argument("--section", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument("--profile", action="store_true", help="profiles of the hot paths, in build/")
    parser.add_argument(
        "--keep-baseline",
        action="store_true",
        help="put the sections of this run into the baseline and the document's table",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
