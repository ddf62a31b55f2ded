"""What a SearchRepository does."""

from datetime import timedelta

from service.adapters.postgres.server.database import Database
from service.domain.ids import OrgId
from service.domain.searches import Hit, HitKind
from tests.contracts.conftest import BeginKept
from tests.support.factories import ORG
from tests.support.kept import NOW
from tests.support.sent import accepted, an_address

STRANGER = OrgId("org_000000000000000000000000002")
ANYWHERE = {"applications": 100, "hits": 10}


async def test_a_thing_is_found_by_its_id_in_its_organisation_or_application(shared: Database, kept: BeginKept) -> None:
    (application, endpoint), (other, _) = await an_address(shared), await an_address(shared)
    message = await accepted(shared, application, at=NOW - timedelta(seconds=1))

    async with kept() as work:
        here = await work.searches.message(ORG, message.id, app_id=None)
        own = await work.searches.endpoint(ORG, endpoint.id, app_id=application.id)
        elsewhere = await work.searches.endpoint(ORG, endpoint.id, app_id=other.id)
        foreign = [
            await work.searches.message(STRANGER, message.id, app_id=None),
            await work.searches.endpoint(STRANGER, endpoint.id, app_id=None),
        ]
        no_attempt = await work.searches.attempt(ORG, "atmpt_unknown", app_id=None)

    assert here == Hit(
        kind=HitKind.MESSAGE,
        id=message.id,
        label=message.event_type,
        app_id=application.id,
        app_name=application.name,
    )
    assert own is not None
    assert (own.kind, own.id) == (HitKind.ENDPOINT, endpoint.id)
    assert (elsewhere, foreign, no_attempt) == (None, [None, None], None)


async def test_names_that_applications_chose_are_found_in_each_of_them(shared: Database, kept: BeginKept) -> None:
    (one, endpoint), (other, _) = await an_address(shared, uid="a-name"), await an_address(shared)
    message = await accepted(shared, other, at=NOW - timedelta(seconds=1), event_id="a-name")

    async with kept() as work:
        everywhere = await work.searches.named(ORG, "a-name", app_id=None, **ANYWHERE)
        within = await work.searches.named(ORG, "a-name", app_id=one.id, **ANYWHERE)
        foreign = await work.searches.named(STRANGER, "a-name", app_id=None, **ANYWHERE)

    assert {hit.id for hit in everywhere} == {message.id, endpoint.id}
    assert [hit.id for hit in within] == [endpoint.id]
    assert list(foreign) == []
