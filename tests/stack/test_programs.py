"""What comes ready from a registry is what was pinned, or nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.stack import programs


def test_another_file_than_the_pinned_one_is_not_run(tmp_path: Path) -> None:
    other = replace(programs.HELM, sha256="0" * 64)

    with pytest.raises(programs.CannotBuild, match="another file than the pinned one"):
        programs.build(other, into=tmp_path)

    assert not list(tmp_path.glob("helm-*/helm"))


def test_the_cache_knows_a_program_by_all_that_goes_into_it(tmp_path: Path) -> None:
    main = tmp_path / "main.go"
    variants = [replace(programs.PROMTOOL, tags=tags) for tags in ("", "remove_all_sd")]
    ours = [replace(programs.COMPOSE, ours=tmp_path) for _ in range(2)]
    keys = []

    for text, program in zip(("package one", "package two"), ours, strict=True):
        main.write_text(text)
        keys.append(programs.key(program))

    assert len({*keys, *map(programs.key, variants)}) == 4
