"""What comes from Maven Central is what was pinned, or nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.brokers.programs import KAFKA
from deploy.stack import programs


def test_jars_that_are_not_the_pinned_ones_are_not_run(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(KAFKA.ours, ours)
    (ours / "jars.sha256").write_text("")

    with pytest.raises(programs.CannotBuild, match="other jars than the pinned ones"):
        programs.build(replace(KAFKA, ours=ours), into=tmp_path)

    assert not list(tmp_path.glob("kafka-*/kafka"))
