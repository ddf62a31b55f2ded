"""How many processes, databases and disks a load needs. Without --rate: the tables of deploy/capacity.md."""

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

from deploy.capacity.figures import OURS, Unusable, read
from deploy.capacity.model import Load, Machines
from deploy.capacity.tables import DOCUMENT, LOAD, MACHINES, RATES, option, put_into, tables
from service.domain.limits import MAX_BODY_BYTES

STALE = "deploy/capacity.md is out of date; `make manifests` writes its tables anew\n"
_SHARE = (0.0, 1.0)
_BOUNDS = {
    "rate": (1e-3, 1e9),
    "fan_out": (0.0, 1e6),
    "payload_bytes": (1, MAX_BODY_BYTES),
    "success": _SHARE,
    "retries": (0, 50),
    "connecting": _SHARE,
    "days": (1e-3, 36_500.0),
    "utilisation": (0.01, 1.0),
}
_MOST = (1, 1_000_000_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is asked for; with --write or --check, see to the document."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        figures = read(chosen.figures)
    except Unusable as error:
        parser.error(str(error))
    made = tables(_loads(chosen), _machines(chosen), figures)
    if chosen.check or chosen.write:
        return _document(made, write=chosen.write)
    if chosen.rate is None:
        sys.stdout.write(f"{made['figures']}\n\n")
    sys.stdout.write(f"{made['needs']}\n\nDatabases that each limit alone takes:\n\n{made['limits']}\n")
    return 0


def _document(made: dict[str, str], *, write: bool) -> int:
    text = DOCUMENT.read_text()
    wanted = put_into(text, made)
    if write:
        DOCUMENT.write_text(wanted)
    elif wanted != text:
        sys.stderr.write(STALE)
        return 1
    return 0


def _loads(chosen: Namespace) -> list[Load]:
    load = Load(exported=chosen.exported, **_given(chosen, LOAD))
    return [load] if chosen.rate is not None else [replace(load, rate=rate) for rate in RATES]


def _machines(chosen: Namespace) -> Machines:
    return Machines(**_given(chosen, MACHINES))


def _given(chosen: Namespace, names: dict[str, str]) -> dict[str, float]:
    return {name: value for name in names if (value := getattr(chosen, name)) is not None}


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m deploy.capacity", description=__doc__, allow_abbrev=False)
    for holder, words in ((Load, LOAD), (Machines, MACHINES)):
        usual = {each.name: each.default for each in fields(holder)}
        for name, word in words.items():
            told = f"{word} ({usual[name]:g})"
            parser.add_argument(option(name), dest=name, type=_number(name, type(usual[name])), help=told)
    parser.add_argument("--exported", action="store_true", help="all traces, metrics and logs are exported")
    parser.add_argument("--figures", type=Path, default=OURS, help="a file of your own figures, as build/capacity.json")
    document = parser.add_mutually_exclusive_group()
    document.add_argument("--write", action="store_true", help="write the tables of deploy/capacity.md")
    document.add_argument("--check", action="store_true", help="fail when they are out of date")
    return parser


def _number(name: str, kind: type) -> Callable[[str], float]:
    least, most = _BOUNDS.get(name, _MOST)

    def read_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r:.40} is no number") from None
        if math.isnan(value) or not least <= value <= most:
            raise ArgumentTypeError(f"{text:.40} is not from {least:g} to {most:g}")
        if kind is int and value != int(value):
            raise ArgumentTypeError(f"{text:.40} is no whole number")
        return int(value) if kind is int else value

    return read_number


if __name__ == "__main__":
    sys.exit(main())
