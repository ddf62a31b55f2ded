"""Bodies of responses for imports."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.api.schemas.rules import CountOut, Shown, Time
from service.domain.imports import LineFault, MessageImport


class LineFaultOut(Shown):
    """A line that was refused."""

    line: int = Field(description="Its number in the file, from 1.", examples=[17])
    code: str = Field(examples=["value_error"])
    detail: str = Field(examples=["eventType: Field required"])

    @classmethod
    def of(cls, fault: LineFault) -> "LineFaultOut":
        """The response for a refused line."""
        return cls(line=fault.line, code=fault.code, detail=fault.detail)


class MessageImportOut(Shown):
    """An import: how far it is, and what became of its lines. A failed one goes on when the file is sent again."""

    id: str = Field(examples=["imp_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    file_id: str = Field(examples=["january"])
    status: Literal["running", "finished", "failed"]
    lines: CountOut = Field(description="The number of the last line that was looked at.")
    accepted: CountOut
    repeated: CountOut = Field(description="Lines that had been accepted before, when the file was sent the last time.")
    refused: CountOut = Field(description="Lines that were refused. The first 10,000 of them are listed.")
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, found: MessageImport, *, now: datetime) -> "MessageImportOut":
        """The response for an import."""
        return cls(
            id=found.id,
            file_id=found.file_id,
            status=found.standing(now).value,
            lines=found.lines,
            accepted=found.accepted,
            repeated=found.repeated,
            refused=found.refused,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )
