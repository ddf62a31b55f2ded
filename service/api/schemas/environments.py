"""Bodies for exporting and importing an environment, and for importing event types from an OpenAPI document."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from service.api.schemas.event_types import EventTypeIn, EventTypeOut, shown
from service.api.schemas.rules import (
    EventTypeNameOut,
    FeatureFlagOut,
    GroupNameOut,
    Received,
    SchemasOut,
    Shown,
    Switch,
    Time,
)
from service.domain.event_types import EventType, NewEventType
from service.domain.limits import MAX_EVENT_TYPES, MAX_LISTED_VALUES

VERSION = 1


class EnvironmentIn(Received):
    """What was exported. Connectors and settings of the hosted product are not Relevo's, and are left alone."""

    event_types: Annotated[list[EventTypeIn], Field(max_length=MAX_EVENT_TYPES, fail_fast=True)] | None = None
    settings: dict[str, Any] | None = Field(default=None, examples=[{}])
    connectors: list[dict[str, Any]] | None = Field(default=None, max_length=MAX_LISTED_VALUES, examples=[[]])


class EnvironmentOut(Shown):
    """Everything that `environment/import` needs to set up the same elsewhere."""

    version: int = Field(default=VERSION, examples=[VERSION])
    created_at: Time
    event_types: list[EventTypeOut]
    settings: dict[str, Any] | None = Field(description="Relevo has none.", examples=[None])
    connectors: list[dict[str, Any]] = Field(max_length=0, description="Relevo has none.", examples=[[]])

    @classmethod
    def without_event_types(cls, *, at: datetime) -> "EnvironmentOut":
        """The document with an empty list of event types."""
        return cls(created_at=at, event_types=[], settings=None, connectors=[])


class EventTypeImportOpenApiIn(Received):
    """An OpenAPI document, as an object or as the text of YAML or JSON: one of the two."""

    dry_run: Switch = False
    replace_all: Switch = Field(default=False, description="Archive every event type that the document lacks.")
    spec: dict[str, Any] | None = Field(default=None, examples=[{"openapi": "3.1.0", "webhooks": {}}])
    spec_raw: str | None = Field(default=None, examples=["openapi: 3.1.0\nwebhooks: {}\n"])


class EventTypeFromOpenApi(Shown):
    """An event type as the document describes it, or one that it lacks, which would be archived."""

    name: EventTypeNameOut
    description: str = Field(examples=["An invoice was paid."])
    schemas: SchemasOut | None
    archived: bool
    deprecated: bool
    group_name: GroupNameOut | None
    feature_flags: list[FeatureFlagOut] | None = None

    @classmethod
    def of(cls, event_type: NewEventType | EventType) -> "EventTypeFromOpenApi":
        """The response for an event type as the import makes it."""
        return cls(
            name=event_type.name,
            description=event_type.description,
            schemas=shown(event_type.schemas),
            archived=event_type.archived,
            deprecated=event_type.deprecated,
            group_name=event_type.group_name,
        )


class EventTypeImportOpenApiOutData(Shown):
    """The names of what changed, or in a dry run of what would."""

    modified: list[EventTypeNameOut]
    to_modify: list[EventTypeFromOpenApi] | None = Field(default=None, alias="to_modify")


class EventTypeImportOpenApiOut(Shown):
    """What came of the import."""

    data: EventTypeImportOpenApiOutData

    @classmethod
    def of(cls, modified: Sequence[NewEventType | EventType], *, dry_run: bool) -> "EventTypeImportOpenApiOut":
        """The response for the event types that were changed, or would be."""
        if dry_run:
            would = [EventTypeFromOpenApi.of(event_type) for event_type in modified]
            return cls(data=EventTypeImportOpenApiOutData(modified=[], to_modify=would))
        return cls(data=EventTypeImportOpenApiOutData(modified=[event_type.name for event_type in modified]))
