"""The audit of the dependencies, as far as it needs no network."""

from pathlib import Path
from typing import Any

import pytest

from deploy.audit import DEVELOPERS_LOCK, LOCK, apart, unpinned, vulnerable

HASH = f"--hash=sha256:{'a' * 64}"


@pytest.mark.parametrize("lock", [LOCK, DEVELOPERS_LOCK])
def test_every_dependency_is_one_version_with_its_hashes_and_nothing_is_an_address(lock: Path) -> None:
    assert unpinned(lock.read_text()) == []


def test_what_is_run_is_what_was_developed_with() -> None:
    assert apart(LOCK.read_text(), DEVELOPERS_LOCK.read_text()) == []


@pytest.mark.parametrize("other", ["a==2 \\\n    {0}", "a==1 \\\n    {0} \\\n    {0}", "b==1 \\\n    {0}"])
def test_a_version_or_file_that_only_one_lock_has_is_told(other: str) -> None:
    run = f"a==1 \\\n    {HASH}\n    # via c\n"

    assert apart(run, other.format(HASH)) == ["a==1 \\ is not the same in both locks"]


@pytest.mark.parametrize(
    "requirement",
    [
        "b==2",
        f"b>=2 \\\n    {HASH}",
        f"b @ file:///elsewhere/b.whl \\\n    {HASH}",
        "b==2 \\\n    --hash=md5:aaaa",
        "--extra-index-url elsewhere",
        "--find-links elsewhere",
    ],
)
def test_whatever_is_not_pinned_by_a_hash_is_told(requirement: str) -> None:
    before = f"a==1 ; python_version < '3' \\\n    {HASH} \\\n    {HASH}\n    # via c\n"
    lock = f"{before}{requirement}\nc[d]==1 \\\n    {HASH}\n"

    (told,) = unpinned(lock)

    assert told.startswith(requirement.splitlines()[0])


def test_an_advisory_is_told_with_what_mends_it() -> None:
    found: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": []},
        {
            "name": "b",
            "version": "2",
            "vulns": [{"id": "X-1", "fix_versions": ["3", "4"]}, {"id": "X-2", "fix_versions": []}],
        },
        {"name": "c", "skip_reason": "not on the index"},
    ]

    assert vulnerable(found) == ["b 2: X-1, fixed in 3, 4", "b 2: X-2, fixed in none"]
