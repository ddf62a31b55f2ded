"""What every EventTypeRepository does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.application.ports.pages import PageRequest
from service.domain.errors import EventTypeExists, NotFound
from service.domain.ids import OrgId
from tests.contracts.conftest import Begin
from tests.support.factories import ORG
from tests.support.kept import NOW, an_event_type

STRANGER = OrgId("org_000000000000000000000000002")


async def test_an_event_type_is_found_by_its_name_in_its_organisation(begin: Begin) -> None:
    kept = an_event_type(schemas='{"1": {"type": "object"}}', feature_flags=("beta",), group_name="billing")

    async with begin() as work:
        await work.event_types.add(kept)

    async with begin() as work:
        assert await work.event_types.get(ORG, kept.name, lock=True) == kept
        assert await work.event_types.get(STRANGER, kept.name) is None


async def test_a_live_name_is_taken_and_an_archived_one_comes_back(begin: Begin) -> None:
    async with begin() as work:
        await work.event_types.add(an_event_type("live"))
        await work.event_types.add(an_event_type("archived", archived=True))

    async with begin() as work:
        with pytest.raises(EventTypeExists):
            await work.event_types.add(an_event_type("live"))
        again = an_event_type("archived", description="again")
        await work.event_types.add(again)
        assert await work.event_types.get(ORG, "archived") == again


async def test_only_live_event_types_of_the_organisation_are_known(begin: Begin) -> None:
    async with begin() as work:
        await work.event_types.add(an_event_type("live"))
        await work.event_types.add(an_event_type("archived", archived=True))
        await work.event_types.add(an_event_type("foreign", org_id=STRANGER))

    async with begin() as work:
        unknown = await work.event_types.unknown(ORG, ["foreign", "live", "never", "archived"])

    assert unknown == ["foreign", "never", "archived"]


async def test_pages_go_by_name_and_leave_archived_ones_out_unless_wanted(begin: Begin) -> None:
    async with begin() as work:
        for name in ("b", "a", "C", "a.b", "d"):
            await work.event_types.add(an_event_type(name, archived=name == "a.b"))

    async with begin() as work:
        first = await work.event_types.page(ORG, PageRequest(limit=2, ascending=True), include_archived=False)
        rest = await work.event_types.page(ORG, PageRequest(after="a", ascending=True), include_archived=True)
        back = await work.event_types.page(
            ORG, PageRequest(after="b", backwards=True, ascending=True), include_archived=True
        )

    assert [kept.name for kept in first.items] == ["C", "a"]
    assert not first.done
    assert [kept.name for kept in rest.items] == ["a.b", "b", "d"]
    assert [kept.name for kept in back.items] == ["C", "a", "a.b"]


async def test_replacing_keeps_every_change_and_deleting_leaves_nothing(begin: Begin) -> None:
    kept = an_event_type(schemas='{"1": {}}')
    changed = replace(kept, description="changed", deprecated=True, schemas=None)
    async with begin() as work:
        await work.event_types.add(kept)

    async with begin() as work:
        await work.event_types.replace(changed)
        assert await work.event_types.get(ORG, kept.name) == changed
        await work.event_types.delete(changed)
        assert await work.event_types.get(ORG, kept.name) is None
        with pytest.raises(NotFound):
            await work.event_types.replace(changed)


async def test_several_are_found_put_and_archived_together(begin: Begin) -> None:
    later = NOW + timedelta(hours=1)
    old = an_event_type("old", schemas='{"1": {}}', archived=True)
    foreign = an_event_type("old", org_id=STRANGER)
    wanted = [
        an_event_type("new", schemas='{"1":  1.0}', feature_flags=("b", "a"), created_at=later, updated_at=later),
        an_event_type("old", description="changed", deprecated=True, feature_flags=(), created_at=later),
        an_event_type("Old", group_name="g", validate_payloads=True, schemas='{"1": {}}', archived=True),
    ]
    async with begin() as work:
        await work.event_types.add(old)
        await work.event_types.add(foreign)

    async with begin() as work:
        await work.event_types.put(ORG, wanted)
        found = await work.event_types.named(ORG, ["old", "Old", "none", "new"], lock=True)
        some = await work.event_types.named(ORG, ["Old"])
        await work.event_types.archive(ORG, ["new", "none"], at=later)
        archived = await work.event_types.get(ORG, "new")

    async with begin() as work:
        new, changed, other = wanted
        assert list(found.items) == [other, new, replace(changed, created_at=old.created_at)]
        assert [kept.name for kept in some.items] == ["Old"]
        assert archived == replace(new, archived=True, updated_at=later)
        assert await work.event_types.get(STRANGER, "old") == foreign


async def test_flags_open_the_event_types_that_ask_for_one_of_them(begin: Begin) -> None:
    async with begin() as work:
        await work.event_types.add(an_event_type("open"))
        await work.event_types.add(an_event_type("beta", feature_flags=("beta", "new")))
        await work.event_types.add(an_event_type("closed", feature_flags=()))

    async with begin() as work:
        page = PageRequest(ascending=True)
        with_flag = await work.event_types.page(ORG, page, include_archived=False, flags={"new"})
        without = await work.event_types.page(ORG, page, include_archived=False, flags=set())

    assert [kept.name for kept in with_flag.items] == ["beta", "open"]
    assert [kept.name for kept in without.items] == ["open"]
