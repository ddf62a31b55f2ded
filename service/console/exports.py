"""Lists as files: CSV for people with a spreadsheet, JSON lines for programs. Pure."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from pydantic import BaseModel

from service.api.json_routes import as_json

# A spreadsheet takes a cell that begins so for a formula, and computes it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_csv(names: Sequence[str], rows: Iterable[Sequence[str | None]]) -> bytes:
    """The rows below their names, by RFC 4180. A cell that a spreadsheet would compute begins with an apostrophe."""
    file = StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(names)
    writer.writerows([harmless(cell or "") for cell in row] for row in rows)
    return file.getvalue().encode()


def as_json_lines(items: Iterable[BaseModel]) -> bytes:
    """Each item as JSON on a line of its own."""
    return b"".join(as_json(item) + b"\n" for item in items)


def harmless(cell: str) -> str:
    """The cell as text that is no formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
