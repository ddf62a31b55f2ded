"""What `make bench-peers` measures is what happened: with a careless peer, and with Relevo as its own peer."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.benchmarks import database, processes, relevo
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.peers import table
from tests.benchmarks.peers.contenders import peers
from tests.benchmarks.peers.counting import Arrival, count
from tests.benchmarks.peers.scenarios import CLOSED, SCENARIOS, Loop, Measurement, Scenario, chosen
from tests.benchmarks.peers.turns import Turn, take
from tests.benchmarks.peers.usage import Trees, used
from tests.benchmarks.receiver import Receiver
from tests.support.careless import TOKEN, careless_outpost

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).resolve().parents[1]
MS = 1_000_000


def test_each_accepted_message_is_owed_once_to_each_of_its_endpoints() -> None:
    arrivals = [
        Arrival(stamp=1 * MS, at=3 * MS, path="/0", verified=True),
        Arrival(stamp=1 * MS, at=4 * MS, path="/1", verified=True),
        Arrival(stamp=2 * MS, at=12 * MS, path="/0", verified=True),
        Arrival(stamp=2 * MS, at=13 * MS, path="/0", verified=False),
        Arrival(stamp=9 * MS, at=21 * MS, path="/0", verified=True),
    ]

    delivered = count([1 * MS, 2 * MS, 5 * MS], arrivals, fan_out=2)

    assert (delivered.accepted, delivered.delivered) == (3, 3)
    assert (delivered.lost, delivered.doubled, delivered.unexpected, delivered.unverified) == (3, 1, 1, 1)
    assert (delivered.p50_ms, delivered.p99_ms) == (3, 10)
    assert delivered.per_second == 3 / 0.011


def test_where_nothing_was_accepted_nothing_is_owed() -> None:
    delivered = count([], [], fan_out=5)

    assert (delivered.accepted, delivered.lost, delivered.per_second, delivered.p99_ms) == (0, 0, 0, 0)


@pytest.mark.parametrize("prefix", ["webhook", "Svix"])
def test_a_call_is_verified_by_either_name_of_its_headers(prefix: str) -> None:
    receiver = Receiver(SIGNING_KEY)
    body = b'{"at": "%020d"}' % MS
    digest = hmac.digest(SIGNING_KEY, b"msg_1.17." + body, hashlib.sha256)
    signed = f"{prefix}-id: msg_1\r\n{prefix}-timestamp: 17\r\n{prefix}-signature: v1,{b64encode(digest).decode()}"
    head = f"POST /3 HTTP/1.1\r\n{signed}\r\n\r\n".encode()

    receiver.handle("POST", "/3", head, body)
    receiver.handle("POST", "/3", head, body.replace(b"1", b"2"))

    arrivals = [Arrival(*values) for values in json.loads(receiver.handle("GET", "/arrivals", b"", b"").body)]
    assert [(call.stamp, call.path, call.verified) for call in arrivals] == [(MS, "/3", True), (2 * MS, "/3", False)]


def test_what_is_chosen_is_measured_and_quiet_is_exported_whatever_the_others_are() -> None:
    everything = chosen(["fanout", "one", "quiet"], ["closed", "open"], turns=3, seconds=1, exported=False)
    one = chosen(["fifty"], ["open"], turns=3, seconds=1, exported=True)

    told = [(measurement.name, measurement.seconds, measurement.exported) for measurement in everything + one]
    assert told == [
        ("one.closed", 1, False),
        ("one.open", 1, False),
        ("fanout.closed", 1, False),
        ("fanout.open", 1, False),
        ("quiet", 2, True),
        ("fifty.open", 1, True),
    ]


def test_the_table_has_medians_their_ratios_to_the_first_contender_and_sums_of_counts() -> None:
    [measurement] = chosen(["one"], ["open"], turns=3, seconds=1, exported=False)
    turns = {"before": [_turn(1), _turn(9), _turn(2)], "relevo": [_turn(3)], "svix": []}
    console = Console(record=True, width=160, file=StringIO())

    table.tell(measurement, turns, console)

    rows = [line.strip("│┃ ").split("│") for line in console.export_text().splitlines()]
    told = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}
    assert told["accepted/s"] == ["2", "3", "1.50"]
    assert told["lost"] == ["12", "3"]
    shaped = table.shape({measurement: turns})["measurements"][0]["contenders"]
    assert {name: contender["medians"]["accepted/s"] for name, contender in shaped.items()} == {
        "before": 2,
        "relevo": 3,
    }


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_a_peer_refuses_loses_and_doubles_is_counted(scenario: Scenario) -> None:
    loop = replace(CLOSED, warm_up=0.1)
    measurement = Measurement(scenario=scenario, loop=loop, turns=1, seconds=0.2, exported=False)
    with careless_outpost() as peer, processes.listening("receiver", SIGNING_KEY.hex()) as receiver:
        [contender] = peers({"PEER_OUTPOST": f"{peer.url}/", "PEER_OUTPOST_TOKEN": TOKEN})
        requests = contender.api.prepare(scenario, receiver.url)

        turn = take(contender, requests, receiver, measurement, patience=1)

    owed = peer.did["accepted"] * scenario.fan_out
    assert min(peer.did.values()) > 0
    assert (turn.delivered.accepted, turn.refused) == (peer.did["accepted"], peer.did["refused"])
    assert (turn.delivered.lost, turn.delivered.doubled) == (peer.did["lost"], peer.did["doubled"])
    assert turn.delivered.delivered == owed - peer.did["lost"]
    assert (turn.delivered.unexpected, turn.delivered.unverified) == (0, 0)


def test_what_an_open_loop_finds_no_connection_for_is_told() -> None:
    narrow = Loop(name="open", connections=1, rate=2000.0)
    measurement = Measurement(scenario=SCENARIOS[0], loop=narrow, turns=1, seconds=0.25, exported=False)
    with careless_outpost() as peer, processes.listening("receiver", SIGNING_KEY.hex()) as receiver:
        [contender] = peers({"PEER_OUTPOST": peer.url, "PEER_OUTPOST_TOKEN": TOKEN})
        requests = contender.api.prepare(measurement.scenario, receiver.url)

        turn = take(contender, requests, receiver, measurement, patience=1)

    assert turn.refused > peer.did["refused"]
    assert turn.delivered.accepted + turn.refused == 500


def test_a_short_run_measures_relevo_its_other_checkout_its_processes_and_itself_as_a_peer(tmp_path: Path) -> None:
    data = tmp_path / "peer"
    chosen = ["--scenario", "fanout", "--scenario", "quiet", "--loop", "open"]
    with relevo.embedded(data, relevo.SILENT) as peer:
        environ = {
            "PYTHONPATH": str(ROOT),
            "PEER_SVIX": peer.url,
            "PEER_SVIX_TOKEN": database.token(),
            "PEER_SVIX_PIDS": str(peer.pid),
            "PEER_SVIX_DATABASE_PIDS": str(relevo.postmaster(data)),
        }
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.peers",
            "--short",
            "--before",
            str(ROOT),
            "--processes",
            "2",
            *chosen,
        ]
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environ},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    assert ran.returncode == 0, ran.stdout
    measured = json.loads((tmp_path / "build/bench-peers.json").read_text())["measurements"]
    assert [measurement["name"] for measurement in measured] == ["fanout.open", "quiet"]
    for measurement, fan_out in zip(measured, (5, 1), strict=True):
        assert list(measurement["contenders"]) == ["before", "relevo", "relevo x 2", "svix"]
        for contender in measurement["contenders"].values():
            counts, medians = contender["counts"], contender["medians"]
            assert counts["delivered"] == counts["accepted"] * fan_out > 0
            assert [counts[name] for name in ("lost", "doubled", "unexpected", "signature not verified")] == [0] * 4
            assert medians["send to arrival p50, ms"] > 0
            assert medians["peak resident memory of the service, MB"] > 50
        memory = {
            name: contender["medians"]["peak resident memory of the service, MB"]
            for name, contender in measurement["contenders"].items()
        }
        assert memory["relevo x 2"] > memory["relevo"] * 2
    assert all(
        contender["medians"][f"processor time a message: {what}, µs"] > 0
        for contender in measured[0]["contenders"].values()
        for what in ("service", "databases")
    )


def test_another_checkout_runs_in_its_own_place_with_its_own_python(tmp_path: Path) -> None:
    python, said = tmp_path / ".venv/bin/python", tmp_path / "said"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    script = "import os, sys; open('saying', 'w').write(sys.executable); os.rename('saying', 'said'); input()"

    with processes.running(["-c", script], port=0, ready=said.exists, environ={}, tree=tmp_path):
        assert said.read_text() == str(python)


# More than the 0.4 s of the bounds: the system counts in ticks of 0.01 s.
BURNS = "import time\nwhile time.process_time() < 0.42: pass\n"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURNS!r}])
lives = subprocess.Popen([sys.executable, "-c", {BURNS!r} + "bytearray(80 << 20); print(flush=True); input()"])
sys.stdin.close()
lives.wait()
"""


def test_processor_time_and_memory_are_those_of_the_whole_tree_but_for_what_counts_elsewhere() -> None:
    with _tree() as parent:
        [child] = psutil.Process(parent).children()
        whole, alone = Trees((parent,)), Trees((parent,), without=(child.pid,))

        assert whole.worked > 0.8
        assert 0.4 < alone.worked < whole.worked - 0.4 + 0.05
        assert whole.peak_mb > alone.peak_mb + 80
        whole.forget_peak()
        assert whole.peak_mb < alone.peak_mb + 80


def test_the_load_of_others_is_foreign_and_that_of_those_who_take_part_is_not() -> None:
    with processes.listening("receiver", SIGNING_KEY.hex()) as receiver:
        nobody = Trees(())
        before = used(nobody, nobody, receiver)
        with _tree() as other:
            foreign = used(nobody, nobody, receiver).since(before)
            service = used(Trees((other,)), nobody, receiver).since(before)
        generator = used(nobody, nobody, receiver).since(before)

    assert foreign.foreign * foreign.at > 0.7
    assert service.service > 0.8
    assert generator.generator > 0.8
    for spent in (foreign, service, generator):
        named = spent.service + spent.databases + spent.generator + spent.receiver
        assert spent.foreign == pytest.approx((spent.machine - named) / spent.at)


def _turn(figure: int) -> Turn:
    delivered = count([figure], [], fan_out=figure)
    return Turn(
        delivered=delivered,
        accepted_per_second=figure,
        answered_p50_ms=figure,
        refused=figure,
        service_us=figure,
        databases_us=figure,
        delivery_us=figure,
        peak_mb=figure,
        foreign=figure,
    )


@contextmanager
def _tree() -> Iterator[int]:
    """A process with a child that has worked and ended, and one that has worked and lives."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        yield parent.pid
