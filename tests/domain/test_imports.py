"""How an import goes on: what is counted, and what is listed."""

from datetime import UTC, datetime

from service.domain.ids import ApplicationId, OrgId
from service.domain.imports import LineAccepted, LineFault, MessageImport

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEW = MessageImport(
    id="imp_1",
    org_id=OrgId("org_1"),
    app_id=ApplicationId("app_1"),
    file_id="f",
    sending="imp_1",
    created_at=NOW,
    updated_at=NOW,
)


def _faults(first: int, last: int) -> list[LineFault]:
    return [LineFault(line=line, code="value_error", detail="") for line in range(first, last + 1)]


def test_of_all_faults_the_first_ten_thousand_are_listed_and_every_one_is_counted() -> None:
    begun = NEW.after(_faults(1, 9_990), at=NOW)

    listed = begun.listed([LineAccepted(line=9_991, repeated=False), *_faults(9_992, 12_000)])
    then = begun.after(_faults(9_992, 12_000), at=NOW)

    assert [fault.line for fault in listed] == list(range(9_992, 10_002))
    assert then.refused == 11_999
    assert then.listed(_faults(12_001, 12_100)) == []
