"""The official JSON Schema test suite, which `make setup` puts beside the packages: what we say of each case."""

import json
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.application import json_schemas

SHARE = Path(sys.prefix) / "share"
MAP = Path(__file__).parents[2] / "service" / "README.md"
DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
REMOTE = "http://localhost:1234/"  # where the suite has its remote documents
# Cases that are valid by documents or dialects from there, which we never fetch: all that do not hold.
WANT_REMOTE_DOCUMENTS = {
    "draft4/refRemote.json": 9,
    "draft6/refRemote.json": 12,
    "draft7/refRemote.json": 12,
    "draft2019-09/refRemote.json": 16,
    "draft2019-09/vocabulary.json": 1,
    "draft2020-12/dynamicRef.json": 5,
    "draft2020-12/refRemote.json": 16,
    "draft2020-12/vocabulary.json": 1,
}


def test_what_the_official_suite_requires_holds_but_for_what_is_elsewhere() -> None:
    count, failed = 0, Counter[str]()
    for file, group in groups():
        check = json_schemas.checking(json.dumps(group["schema"]).encode())
        for case in group["tests"]:
            count += 1
            if (not check(json.dumps(case["data"]).encode())) != case["valid"]:
                failed[file] += 1
                assert case["valid"], f"{file}: {group['description']}: {case['description']}"
                assert REMOTE in json.dumps(group["schema"]), f"{file}: {group['description']}"

    (cases, hold, others) = re.findall(
        r"Of the ([\d,]+) cases that the official suite .*?, ([\d,]+) pass; the other ([\d,]+)",
        MAP.read_text().replace("\n  ", " "),
    )[0]
    assert failed == WANT_REMOTE_DOCUMENTS
    assert (cases, hold, others) == (f"{count:,}", f"{count - failed.total():,}", f"{failed.total():,}")


def groups() -> Iterator[tuple[str, dict[str, Any]]]:
    """The suite's schemas with their cases, each saying of which draft it is, and the file of each."""
    archives = sorted(SHARE.glob("jsonschema-*.tar.gz"))
    if not archives:
        pytest.skip("NOT TESTED: the official suite is not here; `make setup` brings it")
    with tarfile.open(archives[-1]) as archive:
        for member in archive:
            draft, _, file = member.name.partition("/json/tests/")[2].partition("/")
            content = archive.extractfile(member) if draft in DRAFTS and re.fullmatch(r"[^/]+\.json", file) else None
            for group in json.load(content) if content else ():
                schema = group["schema"]
                said = {"$schema": DRAFTS[draft], **schema} if isinstance(schema, dict) else schema
                yield f"{draft}/{file}", group | {"schema": said}
