"""Every target is there once, and stands in the list that `make` prints."""

import re
from collections import Counter
from pathlib import Path

MAKEFILE = (Path(__file__).resolve().parents[1] / "Makefile").read_text()


def test_a_target_has_one_recipe_and_is_known_to_be_no_file() -> None:
    targets = Counter(re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert set(targets.values()) == {1}
    assert set(targets) == set(" ".join(phony).split())
