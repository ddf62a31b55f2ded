"""`python -m tests.benchmarks.peers [--short] [--scenario NAME ...] [--loop NAME ...] [--before PATH] [...]`."""

import argparse
import json
import os
import sys
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from rich.console import Console

from tests.benchmarks import processes, relevo
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.measure import NotMeasured
from tests.benchmarks.peers import table
from tests.benchmarks.peers.contenders import Contender, contenders
from tests.benchmarks.peers.scenarios import CLOSED, OPEN, QUIET, SCENARIOS, Measurement, chosen
from tests.benchmarks.peers.table import Turns
from tests.benchmarks.peers.turns import Turn, take
from tests.benchmarks.processes import Process

WIDTH = 160
SCENARIO_NAMES = [*(scenario.name for scenario in SCENARIOS), QUIET.name]
LOOP_NAMES = [CLOSED.name, OPEN.name]


def main() -> int:
    """Measure, print the tables, write `bench-peers.json`. Fails when a turn did, or a message was lost."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    measured: dict[Measurement, Turns] = {}
    for exported, measurements in groupby(options.measurements, key=lambda measurement: measurement.exported):
        measured |= _measured(list(measurements), console, options, exported=exported)
    for measurement, turns in measured.items():
        table.tell(measurement, turns, console)
    Path("build").mkdir(exist_ok=True)
    Path("build", "bench-peers.json").write_text(json.dumps(table.shape(measured), indent=1) + "\n")
    return 0 if all(_whole(measurement, turns) for measurement, turns in measured.items()) else 1


def _measured(
    measurements: list[Measurement], console: Console, options: argparse.Namespace, *, exported: bool
) -> dict[Measurement, Turns]:
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        sink = stack.enter_context(processes.listening("sink"))
        telemetry = relevo.everything_to(sink) if exported else relevo.SILENT
        taking_part = contenders(telemetry, options.before, os.environ, processes=options.processes)
        running = stack.enter_context(taking_part)
        return {measurement: _in_turns(measurement, running, receiver, console) for measurement in measurements}


def _in_turns(measurement: Measurement, running: list[Contender], receiver: Process, console: Console) -> Turns:
    """A B A B: what the machine does meanwhile happens to all of them."""
    requests = {each.name: each.api.prepare(measurement.scenario, receiver.url) for each in running}
    turns: dict[str, list[Turn]] = {each.name: [] for each in running}
    for _ in range(measurement.turns):
        for each in running:
            try:
                turn = take(each, requests[each.name], receiver, measurement)
            except (NotMeasured, RuntimeError) as failed:  # the other turns are not lost with this one
                console.print(f"[bold red]{measurement.name} {each.name}: not measured:[/] {failed}")
            else:
                table.tell_turn(measurement, each.name, turn, console)
                turns[each.name].append(turn)
    return turns


def _whole(measurement: Measurement, turns: Turns) -> bool:
    return all(
        len(taken) == measurement.turns and not any(turn.delivered.lost for turn in taken) for taken in turns.values()
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description="How fast are the peers?")
    parser.add_argument("--short", action="store_true", help="one short turn of each: see that all of it works")
    parser.add_argument("--scenario", action="append", choices=SCENARIO_NAMES, help="only this one; may be repeated")
    parser.add_argument("--loop", action="append", choices=LOOP_NAMES, help="only this one")
    parser.add_argument("--turns", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each turn sends (default: %(default)s)")
    parser.add_argument("--before", type=Path, metavar="PATH", help="another checkout of Relevo, with its .venv")
    parser.add_argument("--processes", type=int, metavar="N", help="Relevo takes part with so many processes as well")
    parser.add_argument("--exported", action="store_true", help="Relevo exports all its telemetry to a live sink")
    options = parser.parse_args()
    turns, seconds = (1, 0.5) if options.short else (options.turns, options.seconds)
    options.measurements = chosen(
        options.scenario or SCENARIO_NAMES,
        options.loop or LOOP_NAMES,
        turns=turns,
        seconds=seconds,
        exported=options.exported or options.short,  # which needs one start instead of two
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
