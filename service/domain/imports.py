"""A file of messages on its way in: how far it is, and which of its lines were refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.ids import ApplicationId, OrgId
from service.domain.messages import Submission

SILENCE = timedelta(seconds=60)
MOST_LISTED = 10_000
# A file of so many broken lines, or blank ones, is no file of messages: to go on would cost as much as one that is.
MOST_REFUSED, MOST_BLANK = 200_000, 1_000_000


class ImportStatus(StrEnum):
    """How an import stands."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFault:
    """Why a line, counted from 1, was refused. `detail` repeats nothing of a payload."""

    line: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMessage:
    """What a line says of a message. `fingerprint` is a digest of the line as it was written."""

    line: int
    said: Submission
    fingerprint: bytes


Line = LineMessage | LineFault


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAccepted:
    """The line's message is committed; `repeated` when it had been before."""

    line: int
    repeated: bool


Taken = LineAccepted | LineFault


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageImport:
    """An import as it is kept. `file_id` is the sender's name for the file: sending it again goes on with it.

    `sending` is the last time that it was sent: one that is overtaken by another no longer speaks for the import.
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
        """The import with these lines behind it."""
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
        """Of the lines that come next, those to list as refused: a file of nothing else must not fill the disk."""
        faults = [one for one in taken if isinstance(one, LineFault)]
        return faults[: max(0, MOST_LISTED - self.refused)]

    def ended(self, status: ImportStatus, *, at: datetime) -> "MessageImport":
        """The import, finished or failed."""
        return replace(self, status=status, updated_at=at)

    def begun_again(self, *, at: datetime) -> "MessageImport":
        """The same file, from its first line."""
        return replace(self, status=ImportStatus.RUNNING, lines=0, accepted=0, repeated=0, refused=0, updated_at=at)

    def standing(self, now: datetime) -> ImportStatus:
        """How it stands: one that runs and has not been heard of for a minute died with its process."""
        silent = self.status is ImportStatus.RUNNING and now - self.updated_at > SILENCE
        return ImportStatus.FAILED if silent else self.status
