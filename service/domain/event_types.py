"""An event type: the name of a kind of message, with its schemas by version."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import Invalid
from service.domain.ids import OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEventType:
    """What a caller says of an event type. `schemas` is JSON as it was written: a JSON Schema for each version.

    With `validate_payloads` a message is accepted only when its payload keeps the latest of them.
    """

    name: str
    description: str
    archived: bool = False
    deprecated: bool = False
    schemas: str | None = None
    feature_flags: tuple[str, ...] | None = None
    group_name: str | None = None
    validate_payloads: bool = False

    def refuse_empty_promise(self) -> None:
        """Invalid for payloads that are to keep a schema that there is not."""
        if self.validate_payloads and self.schemas in {None, "{}"}:
            raise Invalid(
                "There is no schema to validate payloads by: give `schemas`, or leave `validatePayloads` out.",
                field=("validate_payloads",),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType(NewEventType):
    """An event type as it is kept."""

    org_id: OrgId
    created_at: datetime
    updated_at: datetime

    def is_visible(self, flags: Collection[str] | None) -> bool:
        """Whether somebody with these flags may know of it; None is somebody who may know of everything."""
        return flags is None or self.feature_flags is None or not set(self.feature_flags).isdisjoint(flags)
