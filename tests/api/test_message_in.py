"""The files that one opens to follow a message in, as service/README.md lists them, against what runs for one."""

import re

import pytest
from httpx import AsyncClient

from tests.support.watching import SERVICE, watched

TELLING = "observability/"
# What serves everybody who sends a body, asks PostgreSQL for something, or makes an identifier.
BENEATH = {
    "adapters/postgres/server/columns.py",
    "adapters/postgres/server/connections.py",
    "adapters/postgres/server/notify_line.py",  # which may tell the others while the message is looked at, or later
    "adapters/postgres/server/statements.py",
    "api/protocol/waiting.py",
    "domain/ids.py",
}


def listed() -> list[str]:
    """The list of the README."""
    _, _, section = (SERVICE / "README.md").read_text().partition("### A message in, file by file\n")
    return re.findall(r"^\d+\. \[[^]]+\]\(([^)]+)\)", section.partition("\n#")[0], re.MULTILINE)


@pytest.fixture
async def ran(api: AsyncClient, application: str) -> set[str]:
    """The files that run for a message that is kept and for one that is refused, and for no application's reading."""
    said = {"eventType": "invoice.paid", "payload": {"id": 1}, "channels": ["project:7"]}
    with watched() as for_anybody:
        assert (await api.get(f"/app/{application}")).status_code == 200
    with watched() as files:
        kept = await api.post(f"/app/{application}/msg", json=said, headers={"idempotency-key": "a"})
        refused = await api.post(f"/app/{application}/msg", json={**said, "deliverAt": "2026-01-01T00:00:00Z"})
    assert (kept.status_code, refused.status_code) == (202, 422)
    return {file for file in files if file not in for_anybody or file in listed()}


def test_there_are_fewer_than_twenty_of_them_and_each_is_there() -> None:
    assert 10 < len(set(listed())) == len(listed()) < 20
    assert [file for file in listed() if not (SERVICE / file).is_file()] == []


async def test_whatever_runs_for_a_message_alone_is_listed_or_lies_beneath(ran: set[str]) -> None:
    unlisted = {file for file in ran - set(listed()) if not file.startswith(TELLING)}

    assert unlisted <= BENEATH


async def test_whatever_is_listed_runs_or_is_the_sql_of_what_does(ran: set[str]) -> None:
    assert {file for file in listed() if file.replace(".sql", ".py") not in ran} == set()
