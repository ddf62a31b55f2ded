"""What every EndpointRepository does."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from service.application.ports.pages import PageRequest
from service.domain.applications import Application
from service.domain.destinations import HttpDestination
from service.domain.endpoints import DisabledReason, Endpoint
from service.domain.errors import Conflict, NotFound
from service.domain.signatures import Secret
from tests.contracts.conftest import Begin
from tests.support.kept import NOW, an_application, an_endpoint

OLD, NEW = Secret(key=b"o" * 24, expires_at=NOW), Secret(key=b"n" * 24)
LATER = NOW + timedelta(hours=1)
# Another value than `an_endpoint` has, for every field that can change: one that is forgotten somewhere fails.
CHANGED: dict[str, Any] = {
    "destination": HttpDestination(url="http://127.0.0.1:10/"),
    "description": "d",
    "uid": "e",
    "version": 3,
    "disabled": True,
    "throttle_rate": 7,
    "event_types": ("a.b",),
    "channels": ("c",),
    "metadata": {"k": "v"},
    "updated_at": LATER,
    "disabled_reason": DisabledReason.CUSTOMER,
    "disabled_at": LATER,
}


async def _an_application(begin: Begin) -> Application:
    application = an_application()
    async with begin() as work:
        await work.applications.add(application)
    return application


async def test_an_endpoint_is_found_by_id_and_by_uid(begin: Begin) -> None:
    application = await _an_application(begin)
    kept = an_endpoint(application, uid="e", event_types=("a.b",), channels=("c",), metadata={"k": "v"}, version=3)

    async with begin() as work:
        await work.endpoints.add(kept, [NEW], {})

    async with begin() as work:
        assert await work.endpoints.get(application.id, kept.id) == kept
        assert await work.endpoints.get(application.id, "e", lock=True) == kept
        assert (await work.endpoints.page(application.id, PageRequest())).items == [kept]


async def test_another_application_finds_and_lists_nothing(begin: Begin) -> None:
    application, other = await _an_application(begin), await _an_application(begin)
    kept = an_endpoint(application, uid="e")

    async with begin() as work:
        await work.endpoints.add(kept, [NEW], {})

    async with begin() as work:
        assert await work.endpoints.get(other.id, kept.id) is None
        assert await work.endpoints.get(other.id, "e") is None
        assert (await work.endpoints.page(other.id, PageRequest())).items == []


async def test_secrets_and_headers_come_back_as_they_were_kept(begin: Begin) -> None:
    kept = an_endpoint(await _an_application(begin))

    async with begin() as work:
        await work.endpoints.add(kept, [NEW, OLD], {"X-Token": "one"})
        assert await work.endpoints.secrets(kept.id) == (NEW, OLD)
        assert await work.endpoints.headers(kept.id) == {"X-Token": "one"}
        await work.endpoints.keep_secrets(kept.id, [OLD])
        await work.endpoints.keep_headers(kept.id, {"x-Other": "two"})

    async with begin() as work:
        assert await work.endpoints.secrets(kept.id, lock=True) == (OLD,)
        assert await work.endpoints.headers(kept.id, lock=True) == {"x-Other": "two"}


async def test_a_uid_is_taken_once_in_an_application(begin: Begin) -> None:
    application, other = await _an_application(begin), await _an_application(begin)
    second = an_endpoint(application)
    async with begin() as work:
        await work.endpoints.add(an_endpoint(application, uid="same"), [NEW], {})
        await work.endpoints.add(an_endpoint(other, uid="same"), [NEW], {})
        await work.endpoints.add(second, [NEW], {})

    async with begin() as work:
        with pytest.raises(Conflict):
            await work.endpoints.add(an_endpoint(application, uid="same"), [NEW], {})
    with pytest.raises(Conflict):
        async with begin() as work:
            await work.endpoints.replace(replace(second, uid="same"))


def test_there_is_another_value_for_every_field_that_can_change() -> None:
    plain = an_endpoint(an_application())

    assert CHANGED.keys() == {field.name for field in fields(Endpoint)} - {"id", "app_id", "org_id", "created_at"}
    assert [name for name, value in CHANGED.items() if getattr(plain, name) == value] == []


async def test_every_field_is_kept(begin: Begin) -> None:
    kept = an_endpoint(await _an_application(begin), **CHANGED)

    async with begin() as work:
        await work.endpoints.add(kept, [NEW], {})

    async with begin() as work:
        assert await work.endpoints.get(kept.app_id, kept.id) == kept


async def test_replacing_keeps_every_change_and_leaves_the_secret_alone(begin: Begin) -> None:
    kept = an_endpoint(await _an_application(begin))
    changed = replace(kept, **CHANGED)

    async with begin() as work:
        await work.endpoints.add(kept, [NEW], {})
        await work.endpoints.replace(changed)
        await work.endpoints.forget_failures(changed)

    async with begin() as work:
        assert await work.endpoints.get(kept.app_id, kept.id) == changed
        assert await work.endpoints.secrets(kept.id) == (NEW,)


async def test_what_was_deleted_is_gone_and_frees_its_uid(begin: Begin) -> None:
    application = await _an_application(begin)
    kept = an_endpoint(application, uid="free")
    async with begin() as work:
        await work.endpoints.add(kept, [NEW], {})

    async with begin() as work:
        await work.endpoints.delete(kept, at=NOW)

    async with begin() as work:
        assert await work.endpoints.get(application.id, kept.id) is None
        assert (await work.endpoints.page(application.id, PageRequest())).items == []
        await work.endpoints.add(an_endpoint(application, uid="free"), [NEW], {})
        with pytest.raises(NotFound):
            await work.endpoints.replace(kept)
