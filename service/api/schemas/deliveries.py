"""Bodies of responses for attempts and destinations."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from service.api.schemas.endpoints import EndpointCommon, common
from service.api.schemas.messages import MessageOut, fields_of
from service.api.schemas.rules import EndpointIdOut, MessageIdOut, Shown, Time, UrlOut, written
from service.domain.deliveries import Attempt, DeliveryState, Status, Trigger
from service.domain.endpoints import Endpoint
from service.domain.headers import Pairs
from service.domain.messages import Message

LEFT_OUT = "{}"

StatusText = Annotated[str, WithJsonSchema({"type": "string", "enum": [status.text for status in Status]})]


class MessageAttemptOut(Shown):
    """One try of a delivery. `traceId` finds it in the traces."""

    id: str = Field(examples=["atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    msg_id: MessageIdOut
    endpoint_id: EndpointIdOut
    url: UrlOut
    status: Status = Field(description="Success 0, Pending 1, Fail 2, Sending 3, Canceled 4.")
    status_text: StatusText
    response_status_code: int = Field(description="0 when there was no answer.", examples=[500])
    response_duration_ms: int = Field(examples=[48])
    response: str = Field(description="What the receiver said, or why there is no answer.", examples=["out of order"])
    trigger_type: Trigger = Field(description="Scheduled 0, Manual 1.")
    timestamp: Time
    error_type: str | None = Field(
        description="Why there was no answer, or what cut it short behind its status.", examples=["timeout"]
    )
    reason: str | None = Field(
        default=None, description="Why it failed, in a sentence.", examples=["The receiver did not answer in time."]
    )
    request_headers: dict[str, str] | None = Field(
        default=None,
        description="What was sent, up to 4 KiB; whatever may be a secret is masked.",
        examples=[{"webhook-id": "msg_1srOrx2ZWZBpBUvZwXKQmoEYga2", "webhook-signature": "***"}],
    )
    response_headers: dict[str, str] | None = Field(
        default=None,
        description="The answer's, up to 4 KiB; whatever may be a secret is masked.",
        examples=[{"content-type": "text/plain", "set-cookie": "***"}],
    )
    trace_id: str | None = Field(examples=["0af7651916cd43dd8448eb211c80319c"])
    trace_url: str | None = Field(
        default=None,
        description="Where the trace is shown, if the operator said so.",
        examples=["https://jaeger.example.com/trace/0af7651916cd43dd8448eb211c80319c"],
    )
    msg: MessageOut | None = None

    @classmethod
    def of(
        cls,
        attempt: Attempt,
        *,
        with_content: bool = True,
        message: Message | None = None,
        trace_url: str | None = None,
    ) -> "MessageAttemptOut":
        """The response for an attempt, with the fields of its message if given; `trace_url` is a template."""
        return cls(
            id=attempt.id,
            msg_id=attempt.message_id,
            endpoint_id=attempt.endpoint_id,
            url=attempt.destination.shown,
            status=attempt.status,
            status_text=attempt.status.text,
            response_status_code=attempt.response_status_code,
            response_duration_ms=attempt.duration_ms,
            response=attempt.response if with_content else LEFT_OUT,
            trigger_type=attempt.trigger,
            timestamp=attempt.started_at,
            error_type=attempt.error_type,
            reason=attempt.reason,
            request_headers=_joined(attempt.request_headers) if with_content else None,
            response_headers=_joined(attempt.response_headers) if with_content else None,
            trace_id=attempt.trace_id,
            trace_url=_link(trace_url, attempt.trace_id),
            msg=None if message is None else MessageOut.without_payload(message),
        )


def _joined(headers: Pairs) -> dict[str, str] | None:
    """The headers by name; the values of a repeated header are joined by commas."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined or None


def _link(template: str | None, trace_id: str | None) -> str | None:
    return None if template is None or trace_id is None else template.replace("{trace_id}", trace_id)


class MessageEndpointOut(EndpointCommon):
    """A destination of a message and how its delivery stands."""

    status: Status
    status_text: StatusText
    next_attempt: Time | None

    @classmethod
    def of(cls, endpoint: Endpoint, state: DeliveryState) -> "MessageEndpointOut":
        """The response for a destination."""
        return cls(
            **common(endpoint),
            status=state.status,
            status_text=state.status.text,
            next_attempt=state.next_attempt_at,
        )


class EndpointMessageOut(MessageOut):
    """A message of an endpoint's and how its delivery stands."""

    status: Status
    status_text: StatusText
    next_attempt: Time | None = None


def endpoint_message_of(
    message: Message, state: DeliveryState, *, with_content: bool, expanded_statuses: bool
) -> dict[str, Any]:
    """The fields of `EndpointMessageOut`, ready for orjson. For older clients, canceled is shown as success."""
    status = state.status
    if status is Status.CANCELED and not expanded_statuses:
        status = Status.SUCCESS
    next_attempt = {} if state.next_attempt_at is None else {"nextAttempt": written(state.next_attempt_at)}
    return fields_of(message, with_content=with_content) | {
        "status": int(status),
        "statusText": status.text,
        **next_attempt,
    }


class EmptyResponse(Shown):
    """Nothing to tell."""
