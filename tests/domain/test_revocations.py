"""Which tokens a revocation ends, and from when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.ids import ApplicationId
from service.domain.revocations import Revocation
from tests.support.factories import ORG
from tests.support.kept import NOW

SECOND = timedelta(seconds=1)
ALL = Revocation(
    id="rev_1",
    org_id=ORG,
    app_id=ApplicationId("app_1"),
    token_id=None,
    session_id=None,
    issued_before=NOW,
    effective_at=NOW + 10 * SECOND,
    forgettable_at=NOW + timedelta(days=28),
)
ONE, SESSION = replace(ALL, token_id="t"), replace(ALL, session_id="s")
TOKEN: dict[str, Any] = {"token_id": "t", "session_id": "s", "issued": -1, "seen": 10}

CASES: dict[str, tuple[Revocation, dict[str, Any], bool]] = {
    "all": (ALL, {}, True),
    "all, of no session": (ALL, {"session_id": None}, True),
    "all, issued at the time": (ALL, {"issued": 0}, True),
    "all, issued after": (ALL, {"issued": 0.001}, False),
    "all, not yet": (ALL, {"seen": 9.999}, False),
    "one": (ONE, {}, True),
    "one, another": (ONE, {"token_id": "T"}, False),
    "a session": (SESSION, {}, True),
    "a session, another": (SESSION, {"session_id": "S"}, False),
    "a session, of none": (SESSION, {"session_id": None}, False),
    "a session, issued after": (SESSION, {"issued": 1}, False),
    "a session, not yet": (SESSION, {"seen": 0}, False),
}


@pytest.mark.parametrize("name", CASES)
def test_a_revocation_ends_what_was_issued_before_and_is_meant(name: str) -> None:
    revocation, changed, covered = CASES[name]
    token = TOKEN | changed

    assert (
        revocation.covers(
            token_id=token["token_id"],
            session_id=token["session_id"],
            issued_at=NOW.timestamp() + token["issued"],
            now=NOW.timestamp() + token["seen"],
        )
        is covered
    )
