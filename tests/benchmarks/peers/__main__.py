"""`python -m tests.benchmarks.peers [--short] [--scenario NAME ...] [--loop NAME ...] [--before PATH]`."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from rich.console import Console

from tests.benchmarks import processes, relevo
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.peers import scenarios, table
from tests.benchmarks.peers.contenders import contenders
from tests.benchmarks.peers.scenarios import CLOSED, OPEN, QUIET, SCENARIOS, Measurement
from tests.benchmarks.peers.table import Turns
from tests.benchmarks.peers.turns import Turn, take

WIDTH = 160


def main() -> int:
    """Measure, print the tables, write `build/bench-peers.json`. Fails when a message was lost."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    measured: dict[Measurement, Turns] = {}
    for exported, measurements in groupby(_chosen(options), key=lambda measurement: measurement.exported):
        measured |= _measured(list(measurements), console, before=options.before, exported=exported)
    for measurement, turns in measured.items():
        table.tell(measurement, turns, console)
    Path("build").mkdir(exist_ok=True)
    Path("build/bench-peers.json").write_text(json.dumps(table.shape(measured), indent=1) + "\n")
    lost = sum(turn.delivered.lost for turns in measured.values() for taken in turns.values() for turn in taken)
    return 1 if lost else 0


def _measured(
    measurements: list[Measurement], console: Console, *, before: Path | None, exported: bool
) -> Mapping[Measurement, Turns]:
    with ExitStack() as stack:
        telemetry = (
            relevo.everything_to(stack.enter_context(processes.listening("sink"))) if exported else relevo.SILENT
        )
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        running = stack.enter_context(contenders(telemetry, before, os.environ))
        measured = {}
        for measurement in measurements:
            requests = {it.name: it.api.prepare(measurement.scenario, receiver.url) for it in running}
            turns: dict[str, list[Turn]] = {it.name: [] for it in running}
            for _ in range(measurement.turns):
                for it in running:
                    turn = take(it, requests[it.name], receiver, measurement)
                    table.tell_turn(measurement, it.name, turn, console)
                    turns[it.name].append(turn)
            measured[measurement] = turns
        return measured


def _chosen(options: argparse.Namespace) -> list[Measurement]:
    turns, seconds = (1, 0.5) if options.short else (options.turns, options.seconds)
    names = options.scenario or [*(scenario.name for scenario in SCENARIOS), QUIET.name]
    loops = options.loop or [CLOSED.name, OPEN.name]
    return list(scenarios.chosen(names, loops, turns=turns, seconds=seconds, exported=options.exported))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description="How fast are the peers?")
    names = [*(scenario.name for scenario in SCENARIOS), QUIET.name]
    parser.add_argument("--short", action="store_true", help="one turn of half a second: see that all of it works")
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--loop", action="append", choices=[CLOSED.name, OPEN.name], help="only this one")
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a turn takes (default: %(default)s)")
    parser.add_argument("--before", type=Path, metavar="PATH", help="another checkout of Relevo, with its .venv")
    parser.add_argument("--exported", action="store_true", help="Relevo exports all its telemetry to a live sink")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
