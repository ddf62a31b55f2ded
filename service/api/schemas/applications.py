"""Bodies of requests and responses for applications."""

from typing import Any

from pydantic import AliasChoices, Field

from service.api.schemas.rules import (
    ApplicationIdOut,
    ApplicationUid,
    ApplicationUidOut,
    Metadata,
    MetadataOut,
    Name,
    Rate,
    RateOut,
    Received,
    Shown,
    Time,
    absent,
)
from service.domain.applications import Application, NewApplication

_RATE = AliasChoices("throttleRate", "rateLimit")


class ApplicationIn(Received):
    """What a caller says of an application."""

    name: Name = Field(examples=["My first application"])
    throttle_rate: Rate | None = Field(default=None, validation_alias=_RATE, description="Messages per second.")
    uid: ApplicationUid | None = None
    metadata: Metadata = Field(default_factory=dict)

    def new(self) -> NewApplication:
        """The body as the domain's NewApplication."""
        return NewApplication(
            name=self.name, uid=self.uid, throttle_rate=self.throttle_rate, metadata=dict(self.metadata)
        )


class ApplicationPatch(Received):
    """What shall change. What is absent stays, null clears."""

    name: Name = Field(default="", examples=["My first application"])
    throttle_rate: Rate | None = Field(default=None, validation_alias=_RATE)
    uid: ApplicationUid | None = None
    metadata: Metadata = Field(default_factory=dict)

    def changes(self) -> dict[str, Any]:
        """The fields that are present, by the domain's names."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ApplicationOut(Shown):
    """An application: one of your customers, with endpoints and messages of its own."""

    id: ApplicationIdOut
    uid: ApplicationUidOut | None = Field(default=None, exclude_if=absent)
    name: str = Field(examples=["My first application"])
    rate_limit: RateOut | None = Field(default=None, exclude_if=absent)
    throttle_rate: RateOut | None
    metadata: MetadataOut
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, application: Application) -> "ApplicationOut":
        """The response for an application."""
        return cls(
            id=application.id,
            uid=application.uid,
            name=application.name,
            rate_limit=application.throttle_rate,
            throttle_rate=application.throttle_rate,
            metadata=application.metadata,
            created_at=application.created_at,
            updated_at=application.updated_at,
        )
