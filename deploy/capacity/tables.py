"""What is printed and what the document has between its markers: the figures, and what loads need by them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.capacity.figures import NAMES, Figure, Figures
from deploy.capacity.model import Load, Machines, Needs, needs

RATES = (1_000.0, 10_000.0, 100_000.0)
DOCUMENT = Path(__file__).parents[1] / "capacity.md"
# The options of the command, by the fields that they set.
LOAD = {
    "rate": "messages that come each second",
    "fan_out": "deliveries of a message, on average",
    "payload_bytes": "bytes of a payload",
    "success": "share of attempts that succeed, from 0 to 1",
    "retries": "attempts that may follow the first one of a delivery",
    "connecting": "share of attempts over a new TLS connection, from 0 to 1",
    "days": "days that messages are kept for; not a setting of Relevo",
}
MACHINES = {
    "cores": "cores of a machine that runs processes",
    "database_cores": "cores of a database's machine",
    "utilisation": "share of processors and disks that may be used in the long run, from 0 to 1",
    "wal_mb": "MB/s of its log that a database's machine can write",
    "operations": "writes a second that a database's disks can make",
    "connections": "connections that a database lets in",
    "disk_tb": "TB of a database's disks",
}
_WORDS = {"figure", "unit", "what it is", "measured by", "option", "met first"}  # columns of words
_COLUMNS = {
    "message": "a message",
    "delivery": "a delivery",
    "retry": "a retry",
    "message_kib": "a KiB more",
    "delivery_kib": "and with each attempt",
    "process": "a process",
}


def tables(loads: Sequence[Load], machines: Machines, figures: Figures) -> dict[str, str]:
    """By the names of their markers."""
    found = [needs(load, machines, figures) for load in loads]
    return {
        "figures": figures_table(figures),
        "machines": machines_table(machines),
        "needs": needs_table(found),
        "limits": limits_table(found),
    }


def needs_table(found: Sequence[Needs]) -> str:
    """A row for each load."""
    head = ("messages/s", "processes", "machines", "databases", "met first", "PostgreSQL", "WAL", "operations", "disks")
    return _table(head, map(_needs_row, found))


def _needs_row(each: Needs) -> Iterable[str]:
    yield f"{each.load.rate:,.0f}"
    yield f"{each.processes:,}"
    yield f"{each.machines:,}"
    yield f"{each.databases:,}"
    yield each.first.name
    for name in ("processor", "WAL", "operations", "disk"):
        limit = each.limit(name)
        yield f"{_written(limit.need)} {limit.unit}".replace(" /s", "/s")


def limits_table(found: Sequence[Needs]) -> str:
    """How many databases each limit alone would take, a row for each load."""
    names = [limit.name for limit in found[0].limits]
    rows = ([f"{each.load.rate:,.0f}", *(_written(limit.databases) for limit in each.limits)] for each in found)
    return _table(("messages/s", *names), rows)


def machines_table(machines: Machines) -> str:
    """What is taken to be there."""
    rows = ((f"`{option(name)}`", f"{getattr(machines, name):,g}", word) for name, word in MACHINES.items())
    return _table(("option", "value", "what it is"), rows)


def figures_table(figures: Figures) -> str:
    """A row for each figure."""
    rows = (_figure_row(name, getattr(figures, name)) for name in NAMES)
    return _table(("figure", "unit", *_COLUMNS.values(), "what it is", "measured by"), rows)


def _figure_row(name: str, figure: Figure) -> Iterable[str]:
    yield f"`{name}`"
    yield figure.unit
    for column in _COLUMNS:
        value = getattr(figure, column)
        yield _written(value) if value else ""
    yield figure.says
    yield f"`{figure.command}`"


def option(name: str) -> str:
    """The option that sets a field."""
    return "--payload" if name == "payload_bytes" else f"--{name.replace('_', '-')}"


def put_into(text: str, made: dict[str, str]) -> str:
    """The document with each table between its markers."""
    for name, table in made.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [titles, ["---" if title in _WORDS else "---:" for title in titles], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _written(value: float) -> str:
    """Three digits of it."""
    if value >= 1_000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"
