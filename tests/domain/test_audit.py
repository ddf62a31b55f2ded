"""An audit event carries its time in its identifier, so that the two never differ."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain import ids
from service.domain.audit import AuditEvent
from tests.support.factories import ORG


@pytest.mark.parametrize("at", [datetime(2026, 3, 1, 12, 30, 15, 500_000, UTC), datetime(2040, 12, 31, tzinfo=UTC)])
def test_an_event_was_when_its_identifier_was_made(at: datetime) -> None:
    event = AuditEvent(
        id=ids.make(ids.AUDIT_EVENT, at=at, randomness=bytes(15)),
        org_id=ORG,
        action="applications.created",
        actor=ORG,
        role="admin",
        token_id=None,
        app_id=None,
        target=None,
        correlation_id="a-request",
    )

    assert abs(event.at - at) < timedelta(seconds=1 / 256)
