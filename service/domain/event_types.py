"""An event type: the name of a kind of message, with its schemas by version."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.ids import OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEventType:
    """What a caller says of an event type. `schemas` maps a version to a JSON Schema (Draft 7)."""

    name: str
    description: str
    archived: bool = False
    deprecated: bool = False
    schemas: dict[str, Any] | None = None
    feature_flags: tuple[str, ...] | None = None
    group_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType(NewEventType):
    """An event type as it is kept."""

    org_id: OrgId
    created_at: datetime
    updated_at: datetime
