"""What every ApplicationRepository does."""

from dataclasses import replace

import pytest

from service.application.ports.pages import PageRequest
from service.domain.errors import Conflict, NotFound
from service.domain.ids import OrgId
from tests.contracts.conftest import Begin
from tests.support.kept import NOW, an_application, an_endpoint

STRANGER = OrgId("org_000000000000000000000000002")


async def test_an_application_is_found_by_id_and_by_uid(begin: Begin) -> None:
    kept = an_application(uid="customer-1", throttle_rate=7, metadata={"plan": "gold"})

    async with begin() as work:
        await work.applications.add(kept)

    async with begin() as work:
        assert await work.applications.get(kept.org_id, kept.id) == kept
        assert await work.applications.get(kept.org_id, "customer-1") == kept


async def test_another_organisation_finds_and_lists_nothing(begin: Begin) -> None:
    kept = an_application(uid="customer-1")

    async with begin() as work:
        await work.applications.add(kept)

    async with begin() as work:
        assert await work.applications.get(STRANGER, kept.id) is None
        assert await work.applications.get(STRANGER, "customer-1") is None
        assert (await work.applications.page(STRANGER, PageRequest())).items == []


async def test_a_uid_is_taken_once_in_an_organisation_and_again_in_another(begin: Begin) -> None:
    async with begin() as work:
        await work.applications.add(an_application(uid="same"))
        await work.applications.add(an_application(uid="same", org_id=STRANGER))

    with pytest.raises(Conflict):
        async with begin() as work:
            await work.applications.add(an_application(uid="same"))


async def test_a_conflict_leaves_the_unit_of_work_usable(begin: Begin) -> None:
    first = an_application(uid="same")

    async with begin() as work:
        await work.applications.add(first)
        with pytest.raises(Conflict):
            await work.applications.add(an_application(uid="same"))

        assert await work.applications.get(first.org_id, "same") == first


async def test_replacing_keeps_every_change(begin: Begin) -> None:
    first = an_application(uid="before", throttle_rate=1)
    changed = replace(first, name="after", uid=None, throttle_rate=None, metadata={"a": "b"})

    async with begin() as work:
        await work.applications.add(first)
        await work.applications.replace(changed)

    async with begin() as work:
        assert await work.applications.get(first.org_id, first.id, lock=True) == changed
        assert await work.applications.get(first.org_id, "before") is None


async def test_replacing_cannot_take_the_uid_of_another(begin: Begin) -> None:
    first, second = an_application(uid="one"), an_application(uid="two")
    async with begin() as work:
        await work.applications.add(first)
        await work.applications.add(second)

    with pytest.raises(Conflict):
        async with begin() as work:
            await work.applications.replace(replace(second, uid="one"))


async def test_what_was_deleted_is_gone_with_its_endpoints_and_frees_its_uids(begin: Begin) -> None:
    first = an_application(uid="free")
    endpoint = an_endpoint(first, uid="free-too")
    async with begin() as work:
        await work.applications.add(first)
        await work.endpoints.add(endpoint, [], {})

    async with begin() as work:
        await work.applications.delete(first, at=NOW)

    async with begin() as work:
        assert await work.applications.get(first.org_id, first.id) is None
        assert await work.endpoints.get(first.id, endpoint.id) is None
        await work.applications.add(an_application(uid="free"))
        with pytest.raises(NotFound):
            await work.applications.replace(first)


@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_lead_through_the_whole_list_and_back(begin: Begin, *, ascending: bool) -> None:
    kept = sorted([an_application() for _ in range(5)], key=lambda application: application.id, reverse=not ascending)
    async with begin() as work:
        for application in kept:
            await work.applications.add(application)

    async with begin() as work:
        first = await work.applications.page(kept[0].org_id, PageRequest(limit=2, ascending=ascending))
        second = await work.applications.page(
            kept[0].org_id, PageRequest(limit=3, after=first.items[-1].id, ascending=ascending)
        )
        back = await work.applications.page(
            kept[0].org_id, PageRequest(limit=2, after=kept[4].id, backwards=True, ascending=ascending)
        )

    assert (list(first.items), first.done) == (kept[:2], False)
    assert (list(second.items), second.done) == (kept[2:], True)
    assert (list(back.items), back.done) == (kept[2:4], False)


async def test_nothing_is_kept_of_a_unit_of_work_that_failed(begin: Begin) -> None:
    kept = an_application()

    async def fail() -> None:
        async with begin() as work:
            await work.applications.add(kept)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    async with begin() as work:
        assert await work.applications.get(kept.org_id, kept.id) is None
