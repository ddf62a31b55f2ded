"""What a SourceRepository does, and the ledger of what reads sources."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.adapters.machine.clock import new_id
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.repositories.sources import PostgresSourceLedger
from service.adapters.postgres.server.database import Database
from service.adapters.postgres.server.wakeups import Bell
from service.application.ports.pages import PageRequest
from service.application.ports.sources import OpenedSource
from service.domain import ids
from service.domain.errors import NotFound
from service.domain.ids import OrgId, SourceId
from service.domain.sources import MAX_FAULTS, NatsOrigin, ReaderReport, Reading, Source, SourceFault, shown
from tests.contracts.conftest import BeginKept
from tests.domain.test_sources import a_source
from tests.support.factories import VAULT
from tests.support.kept import NOW

STRANGER = OrgId("org_000000000000000000000000002")
ORIGIN = NatsOrigin(servers=("nats://127.0.0.1:4222",), stream="EVENTS", password="hush")
FIRST = PageRequest()


@pytest.fixture
def ledger(shared: Database) -> PostgresSourceLedger:
    return PostgresSourceLedger(shared.pool, VAULT, Bell("unheard"))


@pytest.fixture
async def source(kept: BeginKept) -> Source:
    """A source that is kept."""
    made = a_source(
        id=SourceId(new_id(ids.SOURCE)),
        org_id=OrgId(new_id(ids.ORGANISATION)),
        place={**shown(ORIGIN), "servers": list(ORIGIN.servers)},
    )
    async with kept() as work:
        await work.sources.add(made, ORIGIN)
    return made


async def test_a_source_is_found_by_its_organisation_alone(kept: BeginKept, source: Source) -> None:
    async with kept() as work:
        assert await work.sources.get(source.org_id, source.id) == source
        assert await work.sources.get(STRANGER, source.id) is None
        assert (await work.sources.page(source.org_id, FIRST)).items == [source]
        assert (await work.sources.page(STRANGER, FIRST)).items == []
        assert await work.sources.has(source.org_id, at_least=1)
        assert not await work.sources.has(STRANGER, at_least=1)


async def test_a_change_leaves_the_origin_unless_it_names_one(
    kept: BeginKept, source: Source, ledger: PostgresSourceLedger
) -> None:
    renamed = replace(source, name="renamed")
    moved = replace(ORIGIN, stream="OTHER")

    async with kept() as work:
        await work.sources.replace(renamed, None)
    first = await read_of(ledger, source)
    async with kept() as work:
        await work.sources.replace(renamed, moved)

    assert first == [OpenedSource(source=renamed, origin=ORIGIN)]
    assert await read_of(ledger, source) == [OpenedSource(source=renamed, origin=moved)]


async def test_what_is_switched_off_or_deleted_is_not_read(
    kept: BeginKept, source: Source, ledger: PostgresSourceLedger
) -> None:
    async with kept() as work:
        await work.sources.replace(replace(source, enabled=False), None)
    switched_off = await read_of(ledger, source)
    async with kept() as work:
        await work.sources.delete(source)

    assert switched_off == []
    async with kept() as work:
        assert await work.sources.get(source.org_id, source.id) is None
        with pytest.raises(NotFound):
            await work.sources.replace(source, None)


async def test_credentials_are_not_in_the_database_as_they_are(shared: Database, source: Source) -> None:
    row = await shared.pool.fetchrow("SELECT * FROM source WHERE id = $1", source.id)

    assert "hush" not in str(row)
    assert b"hush" in VAULT.open(row["sealed"])


async def test_one_whose_key_is_lost_is_left_out(shared: Database, source: Source) -> None:
    stranger = PostgresSourceLedger(shared.pool, AesVault(["another"]), Bell("unheard"))

    assert await read_of(stranger, source) == []


async def test_each_process_has_one_report_of_a_source(
    kept: BeginKept, source: Source, ledger: PostgresSourceLedger
) -> None:
    report = ReaderReport(reader="a", state=Reading.RETRYING, reason="away", lag=None, seen_at=NOW)
    later = replace(report, state=Reading.RUNNING, reason=None, lag=7, seen_at=NOW + timedelta(minutes=59))
    other = replace(later, reader="b", seen_at=NOW + timedelta(minutes=61))

    await ledger.report(source.id, report)
    await ledger.report(source.id, other)  # an hour later nobody counts on the first any more
    await ledger.report(source.id, later)
    await ledger.report(SourceId("src_unknown"), report)

    async with kept() as work:
        told = await work.sources.reports([source.id, SourceId("src_unknown")])
    assert {owner: sorted(reports, key=lambda one: one.reader) for owner, reports in told.items()} == {
        source.id: [later, other]
    }


async def test_faults_are_kept_once_and_the_oldest_are_dropped(
    kept: BeginKept, source: Source, ledger: PostgresSourceLedger
) -> None:
    faults = [a_fault(number) for number in range(MAX_FAULTS + 3)]

    await ledger.refuse(source.id, faults[:10])
    await ledger.refuse(source.id, [replace(faults[3], id=new_id(ids.SOURCE_FAULT))])
    await ledger.refuse(source.id, faults[10:])
    await ledger.refuse(SourceId("src_unknown"), faults)

    async with kept() as work:
        newest = await work.sources.faults(source.id, PageRequest(limit=MAX_FAULTS + 10))
    assert newest.items == faults[:2:-1]


async def read_of(ledger: PostgresSourceLedger, source: Source) -> list[OpenedSource]:
    """What the ledger has to read of this organisation: other tests of the module have sources of their own."""
    return [opened for opened in await ledger.enabled() if opened.source.org_id == source.org_id]


def a_fault(number: int) -> SourceFault:
    return SourceFault(
        id=new_id(ids.SOURCE_FAULT, at=NOW + timedelta(seconds=number)),
        position=f"EVENTS-{number}",
        application="shop",
        event_type=None,
        event_id="e",
        code="value_error",
        detail="Payload must be an object.",
        created_at=NOW,
    )
