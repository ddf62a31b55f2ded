"""What was measured of one message, and where it is kept: `figures.json`, or a file of the reader's own.

{"measured": {"machine": "2 cores, ...", "turns": 5, ...},
 "figures": {"postgres_us": {"unit": "µs", "says": "...", "command": "make bench ...", "message": 210.0,
                             "delivery": 180.0, ...}, ...}}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

OURS = Path(__file__).with_name("figures.json")
MOST = 1e12  # more than any of these can be


class Unusable(Exception):
    """The figures cannot be used; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing that is spent or kept, in its `unit`, by what it is spent on.

    `message` is for an accept, `delivery` for each delivery of it with its first attempt, `retry` for each attempt
    after that. The two of a KiB are added for each KiB of payload beyond the first, once and for each attempt.
    `process` is what each process has, whatever comes.
    """

    unit: str
    says: str
    command: str
    message: float = 0.0
    delivery: float = 0.0
    retry: float = 0.0
    message_kib: float = 0.0
    delivery_kib: float = 0.0
    process: float = 0.0

    def of(self, *, deliveries: float, retries: float, kib: float) -> float:
        """Of one message with so many deliveries and, over all of them, so many retries. `kib` is beyond the first."""
        calls = deliveries + retries
        of_kib = self.message_kib + self.delivery_kib * calls
        return self.message + self.delivery * deliveries + self.retry * retries + of_kib * kib


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of one machine. Those that end in `_us` are processor time.

    The `later_` ones are spent when payload and idempotency key are removed; the `busy_` ones are told for comparison.
    """

    relevo_us: Figure
    exported_us: Figure
    connecting_us: Figure
    postgres_us: Figure
    busy_relevo_us: Figure
    busy_postgres_us: Figure
    later_us: Figure
    wal_bytes: Figure
    page_bytes: Figure
    later_wal_bytes: Figure
    transactions: Figure
    syncs: Figure
    page_writes: Figure
    rows: Figure
    kept_bytes: Figure
    key_bytes: Figure
    connections: Figure


NAMES = tuple(each.name for each in fields(Figures))
_COSTS = ("message", "delivery", "retry", "message_kib", "delivery_kib", "process")
_TEXTS = ("unit", "says", "command")


def read(path: Path) -> Figures:
    """The figures of a file. Raises Unusable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path} is not JSON: {error}") from None
    found = document.get("figures") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise Unusable(f"{path} has no object `figures`")
    return Figures(**{name: _figure(path, name, found.get(name)) for name in NAMES})


def _figure(path: Path, name: str, found: object) -> Figure:
    if not isinstance(found, dict):
        raise Unusable(f"{path} has no figure `{name}`")
    unknown = found.keys() - {*_COSTS, *_TEXTS}
    if unknown:
        raise Unusable(f"{path}: `{name}` has `{min(unknown)}`, which is none of {', '.join((*_TEXTS, *_COSTS))}")
    return Figure(
        **{key: _text(path, name, key, found) for key in _TEXTS},
        **{key: _cost(path, name, key, found) for key in _COSTS},
    )


def _text(path: Path, name: str, key: str, found: Mapping[str, Any]) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise Unusable(f"{path}: `{name}` has no text `{key}`")
    return value


def _cost(path: Path, name: str, key: str, found: Mapping[str, Any]) -> float:
    value = found.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        raise Unusable(f"{path}: `{name}` has `{key}`: {value!r:.40}, which is no number from 0 to {MOST:.0e}")
    return float(value)
