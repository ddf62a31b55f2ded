"""A delivery (one message for one endpoint), its claim, its attempts and their settlement."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from service.domain.destinations import Destination
from service.domain.headers import Pairs
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId
from service.domain.outcomes import BROKEN, NO_ANSWER, Outcome, Taken, kept_error
from service.domain.retries import Gone, Verdict
from service.domain.signatures import Secret


class Status(IntEnum):
    """The state of a delivery or of an attempt; the numbers are the API's."""

    SUCCESS = 0
    PENDING = 1
    FAIL = 2
    SENDING = 3
    CANCELED = 4

    @property
    def text(self) -> str:
        """The word for the number in answers."""
        return self.name.lower()


class Trigger(IntEnum):
    """What caused the attempt: the schedule, or a person (resend, replay)."""

    SCHEDULED = 0
    MANUAL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that this process holds until its lease ends, with everything that an attempt needs.

    `attempt` is the number of the attempt about to be made, from 1. `lease` is the token that the settlement must
    carry. `resend` is the id of a manual delivery, '' for the scheduled one. `traceparent` is the accept's, `previous`
    that of the attempt before. Without a `content_type` the payload is JSON. `wants_trace` says whether the endpoint
    asks for our trace context, `delivered` that another attempt of this message has already succeeded.
    """

    message_id: MessageId
    endpoint_id: EndpointId
    app_id: ApplicationId
    org_id: OrgId
    lease: str
    resend: str
    attempt: int
    trigger: Trigger
    due_at: datetime
    accepted_at: datetime
    event_type: str
    channels: tuple[str, ...] | None
    payload: bytes | None
    destination: Destination
    secrets: tuple[Secret, ...]
    endpoint_active: bool
    correlation_id: str
    traceparent: str | None
    previous: str | None = None
    content_type: str | None = None
    wants_trace: bool = False
    delivered: bool = False
    app_uid: str | None = None


def why_not_send(claim: Claim) -> str | None:
    """Why a due delivery is canceled without an attempt (a closed list); None when it is to be sent."""
    if not claim.endpoint_active:
        return "endpoint_disabled"
    return "payload_removed" if claim.payload is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, as stored. `trace_id` and `span_id` are those of its span.

    `request_headers` were sent and `response_headers` received; both are bounded, with secrets masked.
    """

    id: AttemptId
    message_id: MessageId
    endpoint_id: EndpointId
    event_type: str
    destination: Destination
    status: Status
    response: str
    response_status_code: int
    duration_ms: int
    trigger: Trigger
    number: int
    started_at: datetime
    error_type: str | None
    trace_id: str | None
    span_id: str | None = None
    request_headers: Pairs = ()
    response_headers: Pairs = ()

    @property
    def reason(self) -> str | None:
        """Why it failed, or what broke after a successful status, in one sentence; None for a plain success."""
        code, error = self.response_status_code, self.error_type
        if code and error is not None:
            return f"After the status {code}, {BROKEN.get(error, 'the answer broke off')}."
        if self.status is Status.SUCCESS:
            return None
        return f"The receiver answered {code}." if code else NO_ANSWER.get(error or "", "There was no answer.")


def attempt_of(
    claim: Claim,
    outcome: Outcome,
    *,
    id: AttemptId,  # noqa: A002 - the field's own name
    started_at: datetime,
    trace_id: str | None,
    span_id: str | None = None,
) -> Attempt:
    """The attempt to store for a claim and its outcome."""
    exchange = outcome.exchange
    return Attempt(
        id=id,
        message_id=claim.message_id,
        endpoint_id=claim.endpoint_id,
        event_type=claim.event_type,
        destination=claim.destination,
        status=Status.SUCCESS if isinstance(outcome, Taken) else Status.FAIL,
        response=exchange.text,
        response_status_code=exchange.status,
        duration_ms=round(exchange.duration.total_seconds() * 1000),
        trigger=claim.trigger,
        number=claim.attempt,
        started_at=started_at,
        error_type=kept_error(outcome),
        trace_id=trace_id,
        span_id=span_id,
        request_headers=exchange.sent,
        response_headers=exchange.received,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The result of a claim, ready to be stored. `attempt` is None when the delivery ended without one.

    `rest` is the minimum pause for all deliveries of the endpoint; None for no rest.
    """

    claim: Claim
    verdict: Verdict
    attempt: Attempt | None
    rest: timedelta | None = None

    @property
    def endpoint_gone(self) -> bool:
        """Whether the receiver answered that it is gone."""
        return isinstance(self.verdict, Gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`applied` is False if another worker has the lease by now. The settlement may have disabled the endpoint."""

    applied: bool
    endpoint_switched_off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """The state of a delivery: pending, with the time of its next attempt, or final."""

    message_id: MessageId
    endpoint_id: EndpointId
    status: Status
    attempts: int
    next_attempt_at: datetime | None
