"""An import: a file of messages, one per line, with its progress and its refused lines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.ids import ApplicationId, OrgId
from service.domain.messages import Submission

STALLED_AFTER = timedelta(seconds=60)
MAX_LISTED_FAULTS = 10_000
# Beyond these a file is not taken for a file of messages and is abandoned, since reading on costs processor time.
MAX_REFUSED_LINES, MAX_BLANK_LINES = 200_000, 1_000_000


class ImportStatus(StrEnum):
    """The state of an import."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFault:
    """Why a line (counted from 1) was refused. `detail` repeats nothing of a payload."""

    line: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMessage:
    """A submission read from a line. `fingerprint` is a digest of the line as written."""

    line: int
    said: Submission
    fingerprint: bytes


Line = LineMessage | LineFault


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAccepted:
    """The line's message is committed; `repeated` if it had been accepted before."""

    line: int
    repeated: bool


Taken = LineAccepted | LineFault


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageImport:
    """An import as stored. `file_id` is the sender's name for the file: sending it again continues the import.

    `sending` identifies the latest upload: an earlier upload that still runs can no longer change the import.
    """

    id: str
    org_id: OrgId
    app_id: ApplicationId
    file_id: str
    sending: str
    status: ImportStatus = ImportStatus.RUNNING
    lines: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: int = 0
    created_at: datetime
    updated_at: datetime

    def after(self, taken: Sequence[Taken], *, at: datetime) -> "MessageImport":
        """The import after these lines."""
        repeated = sum(1 for one in taken if isinstance(one, LineAccepted) and one.repeated)
        refused = sum(1 for one in taken if isinstance(one, LineFault))
        return replace(
            self,
            lines=max(self.lines, max((one.line for one in taken), default=0)),
            accepted=self.accepted + len(taken) - repeated - refused,
            repeated=self.repeated + repeated,
            refused=self.refused + refused,
            updated_at=at,
        )

    def listed(self, taken: Sequence[Taken]) -> list[LineFault]:
        """The refused lines among the next ones that are stored; at most MAX_LISTED_FAULTS per import."""
        faults = [one for one in taken if isinstance(one, LineFault)]
        return faults[: max(0, MAX_LISTED_FAULTS - self.refused)]

    def ended(self, status: ImportStatus, *, at: datetime) -> "MessageImport":
        """The import, finished or failed."""
        return replace(self, status=status, updated_at=at)

    def begun_again(self, *, at: datetime) -> "MessageImport":
        """The import at the start of another upload of the same file."""
        return replace(self, status=ImportStatus.RUNNING, lines=0, accepted=0, repeated=0, refused=0, updated_at=at)

    def standing(self, now: datetime) -> ImportStatus:
        """Its state. A running import without progress for a minute has failed: its process died."""
        silent = self.status is ImportStatus.RUNNING and now - self.updated_at > STALLED_AFTER
        return ImportStatus.FAILED if silent else self.status
