"""How many cores there are to use."""

import os
from pathlib import Path

import pytest

from service.supervision.cores import cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, HERE),
        ("max 100000\n", HERE),
        ("50000 100000\n", 1),
        ("100000 100000\n", 1),
        ("99900000 100000\n", HERE),
        ("", HERE),
        ("nonsense", HERE),
    ],
)
def test_a_control_groups_limit_is_kept(directory: Path, limit: str | None, expected: int) -> None:
    file = directory / "cpu.max"
    if limit is not None:
        file.write_text(limit)

    assert cores(cpu_max=file) == expected


def test_a_part_of_a_core_counts_as_one(directory: Path) -> None:
    (file := directory / "cpu.max").write_text("110000 100000\n")

    assert cores(cpu_max=file) == min(HERE, 2)
