"""An event type: the name of a kind of message, with its schemas by version."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.ids import OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEventType:
    """What a caller says of an event type. `schemas` maps a version to a JSON Schema (Draft 7).

    With `validate_payloads` a message is accepted only when its payload keeps the latest of them.
    """

    name: str
    description: str
    archived: bool = False
    deprecated: bool = False
    schemas: dict[str, Any] | None = None
    feature_flags: tuple[str, ...] | None = None
    group_name: str | None = None
    validate_payloads: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType(NewEventType):
    """An event type as it is kept."""

    org_id: OrgId
    created_at: datetime
    updated_at: datetime

    def is_visible(self, flags: Collection[str] | None) -> bool:
        """Whether somebody with these flags may know of it; None is somebody who may know of everything."""
        return flags is None or self.feature_flags is None or not set(self.feature_flags).isdisjoint(flags)
