"""What can be asked of applications, over memory."""

import pytest

from service.adapters.machine.clock import SystemClock, new_id
from service.application.applications import Applications
from service.domain.applications import NewApplication
from service.domain.errors import Conflict, NotFound
from tests.support.factories import ORG
from tests.support.memory import MemoryStore


@pytest.fixture
def applications() -> Applications:
    return Applications(ORG, MemoryStore().begin().applications, clock=SystemClock(), new_id=new_id)


async def test_creating_twice_with_one_uid_is_a_conflict(applications: Applications) -> None:
    await applications.create(NewApplication(name="a", uid="u"))

    with pytest.raises(Conflict):
        await applications.create(NewApplication(name="b", uid="u"))


async def test_the_application_that_is_there_may_be_had_instead(applications: Applications) -> None:
    first, created = await applications.create_or_get(NewApplication(name="a", uid="u"))
    second, created_again = await applications.create_or_get(NewApplication(name="b", uid="u"))

    assert (created, created_again) == (True, False)
    assert first == second


async def test_replacing_keeps_identity_and_age(applications: Applications) -> None:
    first = await applications.create(NewApplication(name="a", uid="u", throttle_rate=3))

    replaced, created = await applications.upsert("u", NewApplication(name="b"))

    assert not created
    assert (replaced.id, replaced.created_at) == (first.id, first.created_at)
    assert (replaced.name, replaced.uid, replaced.throttle_rate) == ("b", None, None)


async def test_the_place_of_a_replacement_gives_no_uid(applications: Applications) -> None:
    made, created = await applications.upsert("unknown", NewApplication(name="a"))

    assert created
    assert made.uid is None


async def test_patching_changes_only_what_is_said(applications: Applications) -> None:
    first = await applications.create(NewApplication(name="a", uid="u", metadata={"k": "v"}))

    patched = await applications.patch(first.id, {"name": "b"})

    assert (patched.name, patched.uid, patched.metadata) == ("b", "u", {"k": "v"})


async def test_what_was_deleted_is_not_found(applications: Applications) -> None:
    await applications.create(NewApplication(name="a", uid="u"))

    await applications.delete("u")

    with pytest.raises(NotFound):
        await applications.get("u")
