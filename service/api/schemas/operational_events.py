"""The bodies of operational webhooks, for the OpenAPI document."""

from pydantic import Field

from service.api.schemas.rules import (
    ApplicationIdOut,
    ApplicationUidOut,
    EndpointIdOut,
    EndpointUidOut,
    EventIdOut,
    MessageIdOut,
    Shown,
    Time,
)
from service.domain.operational_webhooks import AttemptEvent, EndpointEvent


class EndpointEventData(Shown):
    """The endpoint that something became of."""

    app_id: ApplicationIdOut
    app_uid: ApplicationUidOut | None
    endpoint_id: EndpointIdOut
    endpoint_uid: EndpointUidOut | None
    fail_since: Time | None = Field(
        default=None, description="Since when every attempt has failed, where that is why it was disabled."
    )


class EndpointEventOut(Shown):
    """An endpoint was created, changed, deleted or disabled."""

    type: EndpointEvent = Field(examples=["endpoint.disabled"])
    data: EndpointEventData


class LastAttemptOut(Shown):
    """The attempt that gave cause to tell."""

    id: str = Field(examples=["atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    response_status_code: int = Field(description="0 when there was no answer.", examples=[500])
    timestamp: Time = Field(description="When the attempt began.")


class AttemptEventData(Shown):
    """The delivery that something became of."""

    app_id: ApplicationIdOut
    app_uid: ApplicationUidOut | None
    endpoint_id: EndpointIdOut
    msg_id: MessageIdOut
    msg_event_id: EventIdOut | None
    last_attempt: LastAttemptOut | None


class AttemptEventOut(Shown):
    """A delivery keeps failing, was given up, or succeeded after all."""

    type: AttemptEvent = Field(examples=["message.attempt.failing"])
    data: AttemptEventData
