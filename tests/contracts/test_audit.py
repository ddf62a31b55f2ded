"""What an AuditRepository does."""

from datetime import timedelta

from service.adapters.machine.clock import new_id
from service.application.ports.pages import PageRequest
from service.domain import ids
from service.domain.audit import AuditEvent
from service.domain.ids import OrgId
from tests.contracts.conftest import BeginKept
from tests.support.kept import NOW

MINUTE = timedelta(minutes=1)
ORG, STRANGER = OrgId("org_audited"), OrgId("org_stranger")


def an_event(minutes: int, org_id: OrgId = ORG) -> AuditEvent:
    return AuditEvent(
        id=new_id(ids.AUDIT_EVENT, at=NOW + minutes * MINUTE),
        org_id=org_id,
        action="endpoints.deleted",
        actor=org_id,
        role="admin",
        token_id="a-digest",
        app_id=None,
        target="ep_1",
        correlation_id="a-request",
    )


async def test_the_trail_is_read_newest_first_by_its_organisation_alone(kept: BeginKept) -> None:
    first, second, third = events = [an_event(minutes) for minutes in (1, 2, 3)]
    async with kept() as work:
        for event in (*events, an_event(2, STRANGER)):
            await work.audit.add(event)

    async with kept() as work:
        page = await work.audit.page(ORG, PageRequest(limit=2))
        rest = await work.audit.page(ORG, PageRequest(after=second.id))

    assert (page.items, page.done) == ([third, second], False)
    assert (rest.items, rest.done) == ([first], True)
