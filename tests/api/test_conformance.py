"""The API keeps its own document, whatever it is sent: schemathesis looks for answers that do not."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.conftest import TOKENS
from tests.api.served import served
from tests.support.factories import ORG
from tests.support.patience import unhurried

EXAMPLES = 3
# What the bounds of schemas suggest is some 5,700 requests, a tenth of the suite's time. Each day tries a fifth of the
# operations; the variable says which one, to repeat a failure.
FIFTH = "RELEVO_TEST_COVERED_FIFTH"
SEED = 20_260_301
# A tail never ends, and an import takes what no schema describes; both have tests of their own.
LEFT_OUT = r"^(v1\.message-attempt\.tail|v1\.message\.import)$"
LONGEST_LINE = 1000
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize(
    ("phases", "fewest"),  # far fewer cases than when this was written would mean that whole operations are passed over
    [
        pytest.param("examples,fuzzing,stateful", 200, marks=pytest.mark.timeout(120)),
        pytest.param("coverage", 600, marks=pytest.mark.timeout(600)),
    ],
)
async def test_no_answer_is_a_failure_or_breaks_the_document(
    app: FastAPI, tmp_path: Path, phases: str, fewest: int
) -> None:
    document = tmp_path / "openapi.json"
    async with served(app) as api:
        # Given as a file: schemathesis waits ten seconds for one that it fetches, and making it takes a while.
        described = (await api.get("/openapi.json")).raise_for_status()
        document.write_bytes(described.content)
        tried = _a_fifth(described.json()) if phases == "coverage" else []
        arguments = [
            *("run", str(document), "--url", str(api.base_url).rstrip("/").removesuffix("/api/v1")),
            *("--header", f"Authorization: Bearer {TOKENS.mint(ORG, now=datetime.now(UTC))}"),
            # A connection that is kept may be closed for its idleness just when the next request is on its way.
            *("--header", "Connection: close"),
            *("--checks", CHECKS, "--phases", phases, "--max-examples", str(EXAMPLES)),
            *("--seed", str(SEED), "--exclude-operation-id-regex", LEFT_OUT, "--generation-database", "none"),
            *(f"--include-operation-id={operation}" for operation in tried),
            *("--request-timeout", str(int(unhurried(10))), "--no-color", "--continue-on-failure"),
        ]
        program = "import schemathesis.cli; schemathesis.cli.schemathesis()"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *arguments, stdout=PIPE, stderr=STDOUT, cwd=tmp_path, env=os.environ.copy()
        )
        output, _ = await process.communicate()

    report = "\n".join(line[:LONGEST_LINE] for line in output.decode().splitlines())  # some hold a whole body
    assert process.returncode == 0, report
    (passed,) = re.findall(r"(\d+) generated, \1 passed", report)
    print(f"schemathesis: {passed} cases")  # noqa: T201 - how much was tried is to be seen in the report of the tests
    assert int(passed) >= fewest


def _a_fifth(document: dict[str, Any]) -> list[str]:
    """The operations that are covered today."""
    names = sorted(operation["operationId"] for path in document["paths"].values() for operation in path.values())
    fifth = int(os.environ.get(FIFTH) or datetime.now(UTC).toordinal()) % 5
    print(f"schemathesis: {FIFTH}={fifth}")  # noqa: T201 - repeats a failure
    return names[fifth::5]
