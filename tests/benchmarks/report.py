"""What was measured: one table, and `bench.json` in a shape that stays.

    {"machine": {...},
     "accept": {"vs_orm": 6.1, "vs_noop": 0.7, "batch": null, "plan": "full" | "short", "runs": 5,
                "raw": {"relevo": [{"per_second": ..., "cpu_us": ...}, ...], ...}, "spread": {"vs_orm": 0.1, ...},
                "told": {"vs_orm": {"must": 4, "aim": 6, "better": "higher", "says": "2,100 messages/s ..."}, ...},
                "left_out": {"batch": "why"}},
     ..., "costs_us": {"accept": {"uvicorn": 80.1, ...}, ...}}

A figure that was not measured is null, with its reason; `costs_us` has what was profiled, by package.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import LeftOut, Plan, Result, Row, Target

REGRESSION = 0.25
COSTS_TOLD = 6
BASELINE = Path(__file__).with_name("baseline.json")
DOCUMENT = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


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


def shape(rows: Sequence[Row], plan: Plan, costs: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What `bench.json` holds."""
    document: dict[str, Any] = {"machine": _machine(), "costs_us": costs}
    for row in rows:
        section = document.setdefault(
            row.section,
            {
                "plan": "short" if plan.short else "full",
                "runs": 0,
                "raw": {},
                "spread": {},
                "told": {},
                "left_out": {},
            },
        )
        if isinstance(row, LeftOut):
            section[row.key] = None
            section["left_out"][row.key] = row.reason
        else:
            section[row.key] = round(row.value, 4)
            section["runs"] = max(section["runs"], row.runs)
            section["raw"] |= row.raw
            section["told"][row.key] = asdict(row.target) | {"says": row.meaning}
            section["spread"][row.key] = None if row.spread is None else round(row.spread, 3)
    return document


def markdown(document: Mapping[str, Any]) -> str:
    """The tables of the document."""
    machine = document["machine"]
    sections = {name: section for name, section in document.items() if name not in {"machine", "costs_us"}}
    lines = [
        f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}. Short: {_short(sections)}.",
        "",
        "| figure | value | must | aim | what it says |",
        "|---|---|---|---|---|",
    ]
    lines += [
        _line(f"{name}.{key}", section[key], told)
        for name, section in sections.items()
        for key, told in section["told"].items()
    ]
    lines += [
        f"| {name}.{key} | not measured | | | {why} |"
        for name, section in sections.items()
        for key, why in section["left_out"].items()
    ]
    for path, costs in document["costs_us"].items():
        parts = ", ".join(f"{package} {cost:.0f} µs" for package, cost in list(costs.items())[:COSTS_TOLD])
        lines += ["", f"Where the {sum(costs.values()):.0f} µs of `{path}` go: {parts}."]
    return "\n".join(lines)


def kept(document: Mapping[str, Any]) -> dict[str, Any]:
    """The baseline with the sections of `document` in place of its own."""
    before = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"costs_us": {}}
    return {**before, **document, "costs_us": {**before["costs_us"], **document["costs_us"]}}


def put_into(table_of: Path, document: Mapping[str, Any]) -> None:
    """Between its markers."""
    before, _, rest = table_of.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    table_of.write_text(f"{before}{BEGIN}\n{markdown(document)}\n{END}{after}")


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
    least, most = before / (1 + REGRESSION), before * (1 + REGRESSION)
    if row.value >= least if row.target.better == "higher" else row.value <= most:
        return None
    return f"{row.name} was {before:g} in the baseline and is {row.value:.3g} now"


def _short(sections: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(name for name, section in sections.items() if section["plan"] == "short") or "none"


def _line(name: str, value: float, told: Mapping[str, Any]) -> str:
    target = Target(must=told["must"], aim=told["aim"], better=told["better"])
    reached = _written(value) if target.reached_by(value) else f"**{_written(value)}** (missed)"
    aim = "" if target.aim is None else _written(target.aim)
    return f"| `{name}` | {reached} | {_written(target.must)} | {aim} | {told['says']} |"


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
