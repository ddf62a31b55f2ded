"""Bodies of requests and responses for expunging contents."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from service.api.schemas.rules import Received, Shown, Text
from service.domain.limits import MAX_LISTED_VALUES


class BulkExpungeContentsIn(Received):
    """Messages by their ids or event ids."""

    ids: Annotated[list[Text], Field(max_length=MAX_LISTED_VALUES, examples=[["invoice-42-paid"]])] | None = None


class BulkExpungeStatus(StrEnum):
    """What became of one message's payload."""

    EXPUNGED = "expunged"
    NOT_FOUND = "not-found"


class BulkExpungeContentsOut(Shown):
    """What became of each."""

    results: dict[str, BulkExpungeStatus] = Field(examples=[{"invoice-42-paid": "expunged"}])

    @classmethod
    def of(cls, found: dict[str, bool]) -> "BulkExpungeContentsOut":
        """The response; `found` tells for each id whether the message exists."""
        return cls(
            results={
                ref: BulkExpungeStatus.EXPUNGED if known else BulkExpungeStatus.NOT_FOUND
                for ref, known in found.items()
            }
        )
