"""What a load needs, from measured figures: the sums, the document that shows them, and what is refused."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.capacity.__main__ import main
from deploy.capacity.figures import NAMES, OURS, Figure, read
from deploy.capacity.model import Load, Machines, needs
from deploy.capacity.tables import DOCUMENT
from tests.benchmarks import sections
from tests.benchmarks.sections.capacity import CONNECTIONS

ROOT = Path(__file__).parents[1]
FIGURES = read(OURS)
NOTHING = Figure(unit="", says="", command="")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deploy.capacity", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def changed(name: str, **costs: object) -> dict[str, Any]:
    """The document of our figures, with something else in one of them."""
    document: dict[str, Any] = json.loads(OURS.read_text())
    document["figures"][name] |= costs
    return document


def test_the_document_has_what_the_command_prints() -> None:
    text = DOCUMENT.read_text()

    printed = run().stdout.split("\n\n")

    tables = [part.strip() for part in printed if part.startswith("|")]
    assert len(tables) == 3
    assert [table for table in tables if table not in text] == []
    assert run("--check").returncode == 0


def test_every_figure_names_a_benchmark_that_is_there() -> None:
    commands = {getattr(FIGURES, name).command for name in NAMES}

    for command in commands:
        make, bench, assigned = shlex.split(command)
        assert (make, bench) == ("make", "bench")
        option, section = assigned.removeprefix("BENCH=").split()
        assert option == "--section"
        assert section in sections.NAMES


def test_a_process_has_as_many_connections_as_its_pools_allow() -> None:
    assert FIGURES.connections.process == CONNECTIONS


@pytest.mark.parametrize(
    ("success", "retries", "made"), [(1.0, 7, 0), (0.5, 2, 0.75), (0.0, 7, 7), (0.9, 0, 0), (0.9, 7, 0.1111111)]
)
def test_a_delivery_is_retried_until_an_attempt_succeeds_or_none_is_left(
    success: float, retries: int, made: float
) -> None:
    assert Load(success=success, retries=retries).retries_made == pytest.approx(made, abs=1e-7)


def test_a_figure_is_the_sum_of_what_it_is_spent_on() -> None:
    figure = replace(NOTHING, message=100, delivery=10, retry=5, message_kib=2, delivery_kib=1)

    assert figure.of(deliveries=3, retries=2, kib=4) == 100 + 3 * 10 + 2 * 5 + 4 * (2 + 5 * 1)


def test_ten_times_the_messages_need_ten_times_the_databases_and_meet_the_same_limit_first() -> None:
    one, ten = (needs(Load(rate=rate), Machines(), FIGURES) for rate in (5_000, 50_000))

    assert ten.first.name == one.first.name
    assert ten.first.databases == pytest.approx(10 * one.first.databases, rel=0.01)
    assert ten.databases == -(-ten.first.need // ten.first.gives)


@pytest.mark.parametrize(
    ("machines", "first"),
    [
        (Machines(database_cores=1, disk_tb=1e6), "processor"),
        (Machines(wal_mb=1, disk_tb=1e6), "WAL"),
        (Machines(operations=50, disk_tb=1e6), "operations"),
        (Machines(connections=30, disk_tb=1e6), "connections"),
        (Machines(disk_tb=1), "disk"),
    ],
)
def test_the_limit_that_is_met_first_is_the_one_that_takes_most_databases(machines: Machines, first: str) -> None:
    assert needs(Load(rate=10_000), machines, FIGURES).first.name == first


def test_keys_are_kept_for_hours_and_messages_for_as_many_days_as_said() -> None:
    figures = replace(
        FIGURES,
        kept_bytes=replace(NOTHING, message=2_000),
        key_bytes=replace(NOTHING, message=1_000_000),
    )

    disk = needs(Load(rate=1_000, days=10), Machines(), figures).limit("disk")

    assert disk.need == pytest.approx((1_000 * 10 * 86_400 * 2_000 + 1_000 * 12 * 3_600 * 1_000_000) / 1e12)


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        ({"fan_out": 3}, "processor"),
        ({"payload_bytes": 10_240}, "WAL"),
        ({"success": 0.8}, "operations"),
        ({"days": 200.0}, "disk"),
    ],
)
def test_what_is_more_work_needs_more(more: dict[str, Any], limit: str) -> None:
    usual, harder = (needs(load, Machines(), FIGURES).limit(limit) for load in (Load(), replace(Load(), **more)))

    assert harder.need > usual.need


@pytest.mark.parametrize(("cheap", "dear"), [({"exported": False}, {"exported": True}), ({"connecting": 0.1}, {})])
def test_exported_telemetry_and_new_connections_need_more_processes_and_no_more_of_a_database(
    cheap: dict[str, Any], dear: dict[str, Any]
) -> None:
    cheaper, dearer = (needs(Load(rate=100_000, **given), Machines(), FIGURES) for given in (cheap, dear))

    assert dearer.processes > cheaper.processes
    assert dearer.limit("processor") == cheaper.limit("processor")


def test_a_reader_gives_a_load_machines_and_figures_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "capacity.json"
    file.write_text(json.dumps(changed("postgres_us", message=1_000_000, delivery=0)))

    done = run("--rate", "64", "--figures", str(file), "--database-cores", "10", "--utilisation", "0.5")

    assert done.returncode == 0, done.stderr
    assert "| 64 | 1 | 1 | 13 | processor |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "many"], "'many' is no number"),
        (["--rate", "nan"], "nan is not from 0.001 to 1e+09"),
        (["--rate", "inf"], "inf is not from"),
        (["--rate", "0"], "0 is not from"),
        (["--rate", "-5"], "-5 is not from"),
        (["--rate", "1e400"], "1e400 is not from"),
        (["--fan-out", "-1"], "-1 is not from 0"),
        (["--payload", "1.5"], "1.5 is no whole number"),
        (["--payload", "2097153"], "2097153 is not from 1 to"),
        (["--success", "1.01"], "1.01 is not from 0 to 1"),
        (["--utilisation", "0"], "0 is not from 0.01 to 1"),
        (["--cores", "0"], "0 is not from 1"),
        (["--rates", "5"], "unrecognized arguments: --rates"),
        (["--figures", "/nowhere"], "/nowhere: No such file or directory"),
        (["--figures", "/"], "/: Is a directory"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("\xff\xfe\x00", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no object `figures`"),
        ('{"figures": {}}', "has no figure `relevo_us`"),
        (json.dumps(changed("syncs", message=-1)), "`syncs` has `message`: -1, which is no number from 0 to 1e+12"),
        (json.dumps(changed("syncs", message=True)), "`syncs` has `message`: True"),
        (json.dumps(changed("syncs", message="1")), "`syncs` has `message`: '1'"),
        (json.dumps(changed("syncs", message=float("nan"))), "`syncs` has `message`: nan"),
        (json.dumps(changed("syncs", message=10**400)), "`syncs` has `message`: 1000"),
        (json.dumps(changed("syncs", unit=None)), "`syncs` has no text `unit`"),
        (json.dumps(changed("syncs", massage=1)), "`syncs` has `massage`, which is none of"),
    ],
)
def test_figures_that_are_none_are_refused_with_a_reason(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(SystemExit) as ended:
        main(["--figures", str(file)])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err
