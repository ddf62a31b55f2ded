"""What was measured: one table, and `bench.json` in a shape that stays.

    {"machine": {...}, "plan": "full" | "short",
     "accept": {"vs_orm": 6.1, "vs_noop": 0.7, "batch": null, "runs": 5,
                "raw": {"relevo_per_second": [...], ...}, "spread": {...}, "left_out": {"batch": "why"}}, ...}

The keys of a section are the figures named in `KEYS`; one that was not measured is null, with its reason.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import LeftOut, Plan, Result, Row

REGRESSION = 0.25


def tell(rows: Sequence[Row], console: Console) -> None:
    """One table."""
    table = Table(title="Relevo, measured")
    for heading in ("figure", "value", "must", "aim", "spread", "runs", "what it says", "checked"):
        table.add_column(heading, justify="right" if heading in {"value", "must", "aim", "spread", "runs"} else "left")
    for row in rows:
        if isinstance(row, LeftOut):
            table.add_row(row.name, "left out", "", "", "", "", row.reason, "")
        else:
            table.add_row(*_cells(row))
    console.print(table)


def shape(rows: Sequence[Row], plan: Plan) -> dict[str, Any]:
    """What `bench.json` holds."""
    document: dict[str, Any] = {"machine": _machine(), "plan": "short" if plan.short else "full"}
    for row in rows:
        section = document.setdefault(row.section, {"runs": 0, "raw": {}, "spread": {}, "left_out": {}})
        if isinstance(row, LeftOut):
            section[row.key] = None
            section["left_out"][row.key] = row.reason
        else:
            section[row.key] = round(row.value, 4)
            section["runs"] = max(section["runs"], row.runs)
            section["raw"] |= row.raw
            section["spread"][row.key] = None if row.spread is None else round(row.spread, 3)
    return document


def write(document: Mapping[str, Any], to: Path) -> None:
    """Keep it for a program to read."""
    to.write_text(json.dumps(document, indent=1) + "\n")


def regressions(rows: Sequence[Row], baseline: Mapping[str, Any]) -> list[str]:
    """What has become more than a quarter worse than the baseline, in words."""
    return [said for row in rows if isinstance(row, Result) and (said := _regression(row, baseline)) is not None]


def _regression(row: Result, baseline: Mapping[str, Any]) -> str | None:
    before = baseline.get(row.section, {}).get(row.key)
    if not before:
        return None
    worse = before / row.value if row.target.better == "higher" else row.value / before
    if row.value and worse <= 1 + REGRESSION:
        return None
    return f"{row.name} was {before:g} in the baseline and is {row.value:.3g} now"


def _cells(row: Result) -> list[str]:
    colour = "green" if row.target.reached_by(row.value) else "red"
    return [
        row.name,
        f"[{colour}]{_written(row.value)}[/]",
        _written(row.target.must),
        "" if row.target.aim is None else _written(row.target.aim),
        "" if row.spread is None else f"{row.spread:.0%}",
        str(row.runs),
        row.meaning,
        row.promise,
    ]


def _written(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
