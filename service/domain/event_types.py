"""An event type: the name of a kind of message, with its schemas by version."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import Invalid
from service.domain.ids import OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEventType:
    """The fields of an event type that a caller sets. `schemas` is JSON as the caller wrote it: a JSON Schema by
    version.

    With `validate_payloads` a message is accepted only if its payload is valid under the latest schema.
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
        """Invalid if payloads should be validated and there is no schema."""
        if self.validate_payloads and self.schemas in {None, "{}"}:
            raise Invalid(
                "There is no schema to validate payloads by: give `schemas`, or leave `validatePayloads` out.",
                field=("validate_payloads",),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType(NewEventType):
    """An event type as stored."""

    org_id: OrgId
    created_at: datetime
    updated_at: datetime

    def is_visible(self, flags: Collection[str] | None) -> bool:
        """Whether a caller with these feature flags may see it; None is a caller who may see all."""
        return flags is None or self.feature_flags is None or not set(self.feature_flags).isdisjoint(flags)
