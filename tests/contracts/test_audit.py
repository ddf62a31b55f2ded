"""What an AuditRepository does."""

from datetime import timedelta

from service.adapters.machine.clock import new_id
from service.application.ports.pages import AuditFilter, PageRequest
from service.domain import ids
from service.domain.audit import AuditEvent
from service.domain.ids import ApplicationId, OrgId
from tests.contracts.conftest import BeginKept
from tests.support.kept import NOW

MINUTE = timedelta(minutes=1)
ORG, STRANGER = OrgId("org_audited"), OrgId("org_stranger")


def an_event(
    minutes: int, org_id: OrgId = ORG, action: str = "endpoints.deleted", app_id: ApplicationId | None = None
) -> AuditEvent:
    return AuditEvent(
        id=new_id(ids.AUDIT_EVENT, at=NOW + minutes * MINUTE),
        org_id=org_id,
        action=action,
        actor=org_id,
        role="admin",
        token_id="a-digest",
        app_id=app_id,
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


async def test_the_trail_is_narrowed_by_time_by_action_and_by_application(kept: BeginKept) -> None:
    narrowed, app = OrgId("org_narrowed"), ApplicationId("app_audited")
    events = [
        an_event(1, narrowed, action="a"),
        an_event(2, narrowed, action="b", app_id=app),
        an_event(3, narrowed, action="a", app_id=app),
        an_event(4, narrowed, action="ab", app_id=ApplicationId("app_other")),
        an_event(5, STRANGER, action="a", app_id=app),
    ]
    wanted = {
        "from the second on": AuditFilter(after=NOW + 2 * MINUTE),
        "before the second": AuditFilter(before=NOW + 2 * MINUTE),
        "a": AuditFilter(action="a"),
        "of the application": AuditFilter(app_id=app),
        "a, of the application": AuditFilter(action="a", app_id=app),
        "a, before the second": AuditFilter(action="a", before=NOW + 2 * MINUTE),
        "nothing": AuditFilter(action="c"),
    }
    async with kept() as work:
        for event in events:
            await work.audit.add(event)

    async with kept() as work:
        found = {
            name: (await work.audit.page(narrowed, PageRequest(), narrow)).items for name, narrow in wanted.items()
        }
        second = await work.audit.page(narrowed, PageRequest(limit=1, after=events[2].id), AuditFilter(action="a"))
        back = await work.audit.page(
            narrowed, PageRequest(limit=1, after=events[0].id, backwards=True), AuditFilter(action="a")
        )

    first_to_fourth = {name: [events.index(event) + 1 for event in some] for name, some in found.items()}
    assert first_to_fourth == {
        "from the second on": [4, 3, 2],
        "before the second": [1],
        "a": [3, 1],
        "of the application": [3, 2],
        "a, of the application": [3],
        "a, before the second": [1],
        "nothing": [],
    }
    assert (second.items, second.done) == ([events[0]], True)
    assert back.items == [events[2]]
