"""What a ConsoleSessionRepository does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from service.application.access import Caller, Credential
from service.application.ports.console_sessions import ConsoleSession
from service.domain.ids import ApplicationId, OrgId
from tests.contracts.conftest import BeginKept
from tests.support.factories import ORG
from tests.support.kept import NOW

HOUR = timedelta(hours=1)
STRANGER = OrgId("org_000000000000000000000000002")
CREDENTIAL = Credential(id="a-digest", session_id="s", issued_at=1.5, granted_at=1.25, expires_at=9e9)


def a_session(digest: bytes, caller: Caller, **changed: Any) -> ConsoleSession:
    return replace(
        ConsoleSession(digest=digest, caller=caller, created_at=NOW, expires_at=NOW + HOUR),
        **changed,
    )


async def test_a_session_comes_back_with_all_that_its_token_allowed(kept: BeginKept) -> None:
    customer = Caller(
        org_id=ORG,
        app_id=ApplicationId("app_1"),
        role="writer",
        capabilities=frozenset({"ViewBase", "CreateAttempts"}),
        feature_flags=frozenset({"beta"}),
        credential=CREDENTIAL,
    )
    operator = Caller(org_id=ORG, role="reader")
    sessions = [a_session(b"customer", customer), a_session(b"operator", operator)]
    async with kept() as work:
        for session in sessions:
            await work.console_sessions.add(session)

    async with kept() as work:
        found = [await work.console_sessions.get(ORG, session.digest, now=NOW) for session in sessions]

    assert found == sessions
    assert [one.caller.credential for one in found if one] == [CREDENTIAL, None]


async def test_a_session_is_found_in_its_organisation_only_and_until_its_end(kept: BeginKept) -> None:
    session = a_session(b"brief", Caller(org_id=ORG))
    async with kept() as work:
        await work.console_sessions.add(session)

    async with kept() as work:
        foreign = await work.console_sessions.get(STRANGER, b"brief", now=NOW)
        unknown = await work.console_sessions.get(ORG, b"other", now=NOW)
        late = await work.console_sessions.get(ORG, b"brief", now=NOW + HOUR)
        in_time = await work.console_sessions.get(ORG, b"brief", now=NOW + HOUR - timedelta(seconds=1))

    assert (foreign, unknown, late, in_time) == (None, None, None, session)


async def test_a_session_is_deleted_by_its_own_organisation_only(kept: BeginKept) -> None:
    session = a_session(b"ended", Caller(org_id=ORG))
    async with kept() as work:
        await work.console_sessions.add(session)

    async with kept() as work:
        await work.console_sessions.delete(STRANGER, b"ended")
        still = await work.console_sessions.get(ORG, b"ended", now=NOW)
        await work.console_sessions.delete(ORG, b"ended")
        gone = await work.console_sessions.get(ORG, b"ended", now=NOW)

    assert (still, gone) == (session, None)
