"""What is made of other files is what would be made now."""

import subprocess
import sys

from deploy.manifests.__main__ import ROOT
from deploy.manifests.copies import copies
from deploy.manifests.templates import templates


def test_the_copies_and_the_charts_templates_are_up_to_date() -> None:
    made = {**copies(ROOT), **templates(ROOT)}

    stale = [name for name, text in made.items() if (ROOT / name).read_text() != text]

    assert not stale, "run `make manifests`"
    assert subprocess.run([sys.executable, "-m", "deploy.manifests", "--check"], cwd=ROOT, check=False).returncode == 0
