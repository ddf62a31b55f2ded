"""What an ImportRepository does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.application.ports.pages import PageRequest
from service.domain import ids
from service.domain.applications import Application
from service.domain.imports import ImportStatus, LineFault, MessageImport
from tests.contracts.conftest import BeginKept
from tests.support.kept import NOW
from tests.support.sent import an_address

LATER = NOW + timedelta(minutes=1)
FAULTS = [LineFault(line=line, code="value_error", detail="No.") for line in (9, 2, 10)]


def an_import(application: Application, **changed: Any) -> MessageImport:
    import_id = new_id(ids.IMPORT)
    values: dict[str, Any] = {
        "id": import_id,
        "org_id": application.org_id,
        "app_id": application.id,
        "file_id": "a-file",
        "sending": import_id,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return MessageImport(**(values | changed))


async def test_an_import_is_found_by_id_and_by_its_file(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    new = an_import(application)

    async with kept() as work:
        assert await work.imports.start(new) == new

    async with kept() as work:
        assert await work.imports.get(application.id, new.id) == new
        assert await work.imports.get(application.id, "a-file") == new
        assert await work.imports.get(other.id, new.id) is None
        assert (await work.imports.page(application.id, PageRequest())).items == [new]
        assert (await work.imports.page(other.id, PageRequest())).items == []


async def test_progress_is_kept_with_the_lines_that_were_refused(shared: Database, kept: BeginKept) -> None:
    (application, _), (other, _) = await an_address(shared), await an_address(shared)
    new = an_import(application)
    further = replace(new, lines=10, accepted=7, refused=3, updated_at=LATER)

    async with kept() as work:
        await work.imports.start(new)
        assert await work.imports.keep(further, FAULTS)
        assert await work.imports.keep(further, FAULTS)

    async with kept() as work:
        assert await work.imports.get(application.id, new.id) == further
        faults = await work.imports.faults(application.id, new.id, PageRequest(limit=2, ascending=True))
        rest = await work.imports.faults(application.id, new.id, PageRequest(after="9", ascending=True))
        foreign = await work.imports.faults(other.id, new.id, PageRequest())
    assert [fault.line for fault in faults.items] == [2, 9]
    assert [fault.line for fault in rest.items] == [10]
    assert list(foreign.items) == []


async def test_a_file_that_is_sent_again_begins_anew_and_overtakes_the_first_sending(
    shared: Database, kept: BeginKept
) -> None:
    application, _ = await an_address(shared)
    first, second = an_import(application), an_import(application, updated_at=LATER)
    ended = replace(first, status=ImportStatus.FAILED, lines=10, refused=3)

    async with kept() as work:
        await work.imports.start(first)
        await work.imports.keep(ended, FAULTS)
        begun = await work.imports.start(second)

    async with kept() as work:
        assert not await work.imports.keep(ended, [])
        assert await work.imports.get(application.id, "a-file") == begun
        assert list((await work.imports.faults(application.id, first.id, PageRequest())).items) == []
    assert (begun.id, begun.sending, begun.created_at) == (first.id, second.id, NOW)
    assert (begun.status, begun.lines, begun.refused) == (ImportStatus.RUNNING, 0, 0)
