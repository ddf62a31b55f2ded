"""What a RevocationRepository does, and that whoever verifies tokens learns of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.adapters.machine.clock import new_id
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.server.database import Database
from service.domain.applications import Application
from service.domain.revocations import Revocation
from tests.contracts.conftest import BeginKept
from tests.support.factories import ORG
from tests.support.sent import an_address

NOW, MINUTE = datetime.now(UTC), timedelta(minutes=1)


def a_revocation(application: Application) -> Revocation:
    return Revocation(
        id=new_id("rev_"),
        org_id=ORG,
        app_id=application.id,
        token_id=None,
        session_id=None,
        issued_before=NOW,
        effective_at=NOW,
        forgettable_at=NOW + timedelta(days=28),
    )


async def test_a_revocation_is_kept_once_and_counts_for_its_application(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    revocation = a_revocation(application)

    async with kept() as work:
        assert await work.revocations.add(revocation)
        assert not await work.revocations.add(revocation)

    async with kept() as work:
        assert await work.revocations.has(application.id, at_least=1)
        assert not await work.revocations.has(application.id, at_least=2)
        assert not await work.revocations.has(other.id, at_least=1)


async def test_what_a_later_one_covers_is_forgotten(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    old, young = a_revocation(application), replace(a_revocation(application), issued_before=NOW + MINUTE)
    async with kept() as work:
        await work.revocations.add(old)
        await work.revocations.add(young)
        await work.revocations.forget(application.id, issued_before=NOW)

    async with kept() as work:
        assert await work.revocations.has(application.id, at_least=1)
        assert not await work.revocations.has(application.id, at_least=2)


async def test_who_verifies_learns_of_it_with_the_next_look(shared: Database, kept: BeginKept) -> None:
    application, _ = await an_address(shared)
    remembered = RememberedRevocations(shared.pool)
    token: dict[str, Any] = {"token_id": "t", "session_id": None}
    issued, now = NOW.timestamp() - 1, NOW.timestamp() + 1
    await remembered.refresh(now=NOW)

    async with kept() as work:
        await work.revocations.add(a_revocation(application))

    assert not remembered.cover(application.id, **token, issued_at=issued, now=now)
    await remembered.refresh(now=NOW)
    assert remembered.cover(application.id, **token, issued_at=issued, now=now)
    assert not remembered.cover(application.id, **token, issued_at=now, now=now)
