"""Bodies of requests and responses for event types."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field

from service.api.schemas.rules import (
    EventTypeName,
    EventTypeNameOut,
    FeatureFlag,
    FeatureFlagOut,
    GroupName,
    GroupNameOut,
    Received,
    SchemasOut,
    Shown,
    Switch,
    Text,
    Time,
)
from service.application import json_schemas
from service.domain.event_types import EventType, NewEventType
from service.domain.limits import MAX_FLAGS


def _kept(schemas: dict[str, Any]) -> dict[str, Any]:
    json_schemas.written(schemas)
    return schemas


Schemas = Annotated[
    dict[str, Any],
    AfterValidator(_kept),
    Field(
        description="A JSON Schema for each version, of the draft that its `$schema` names, else Draft 7.",
        examples=[{"1": {"type": "object"}}],
    ),
]
Flags = Annotated[list[FeatureFlag], Field(max_length=MAX_FLAGS)]
Description = Annotated[Text, Field(examples=["An invoice was paid."])]
Vouching = Annotated[
    Switch, Field(description="Accept a message of this type only when its payload keeps the latest schema.")
]


class EventTypeUpsertIn(Received):
    """What a caller says of an event type, all but its name."""

    description: Description
    archived: Switch = False
    deprecated: Switch = False
    schemas: Schemas | None = None
    group_name: GroupName | None = None
    feature_flags: Flags | None = None
    feature_flag: FeatureFlag | None = None
    validate_payloads: Vouching = False

    def new(self, name: str) -> NewEventType:
        """The body as the domain's NewEventType."""
        return NewEventType(
            name=name,
            description=self.description,
            archived=self.archived,
            deprecated=self.deprecated,
            schemas=_text(self.schemas),
            feature_flags=_flags(self.feature_flags, self.feature_flag),
            group_name=self.group_name,
            validate_payloads=self.validate_payloads,
        )


class EventTypeIn(EventTypeUpsertIn):
    """A new event type: its name and what a caller says of it."""

    name: EventTypeName


class EventTypePatch(Received):
    """What shall change. What is absent stays, null clears."""

    description: Description = ""
    archived: Switch = False
    deprecated: Switch = False
    schemas: Schemas | None = None
    group_name: GroupName | None = None
    feature_flags: Flags | None = None
    feature_flag: FeatureFlag | None = None
    validate_payloads: Vouching = False

    def changes(self) -> dict[str, Any]:
        """The fields that are present, in the domain's names and types."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        if "schemas" in said:
            said["schemas"] = _text(self.schemas)
        if {"feature_flags", "feature_flag"} & said.keys():
            said["feature_flags"] = _flags(said.get("feature_flags"), said.pop("feature_flag", None))
        return said


class EventTypeOut(Shown):
    """An event type. A list leaves the schemas out unless they are asked for."""

    name: EventTypeNameOut
    description: str = Field(examples=["An invoice was paid."])
    archived: bool
    deprecated: bool
    schemas: SchemasOut | None
    group_name: GroupNameOut | None
    feature_flags: list[FeatureFlagOut] | None
    feature_flag: FeatureFlagOut | None
    validate_payloads: bool
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, event_type: EventType, *, with_content: bool = True) -> "EventTypeOut":
        """The response for an event type."""
        flags = None if event_type.feature_flags is None else list(event_type.feature_flags)
        return cls(
            name=event_type.name,
            description=event_type.description,
            archived=event_type.archived,
            deprecated=event_type.deprecated,
            schemas=shown(event_type.schemas) if with_content else None,
            group_name=event_type.group_name,
            feature_flags=flags,
            feature_flag=flags[0] if flags else None,
            validate_payloads=event_type.validate_payloads,
            created_at=event_type.created_at,
            updated_at=event_type.updated_at,
        )


def shown(schemas: str | None) -> orjson.Fragment | None:
    """Schemas as they were written."""
    return None if schemas is None else orjson.Fragment(schemas)


def _text(schemas: dict[str, Any] | None) -> str | None:
    return None if schemas is None else json_schemas.written(schemas)


def _flags(several: list[str] | None, one: str | None) -> tuple[str, ...] | None:
    if several is not None:
        return tuple(several)
    return None if one is None else (one,)
