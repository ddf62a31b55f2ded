"""A delivery, one message owed to one endpoint, and what came of trying it."""

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
    """The state of a delivery or of an attempt; the numbers are the interface's."""

    SUCCESS = 0
    PENDING = 1
    FAIL = 2
    SENDING = 3
    CANCELED = 4

    @property
    def text(self) -> str:
        """The word that goes with the number in answers."""
        return self.name.lower()


class Trigger(IntEnum):
    """Who wanted the attempt."""

    SCHEDULED = 0
    MANUAL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that this process holds until its lease ends, with everything an attempt needs.

    `attempt` is the number of the attempt about to be made, from 1. `lease` is the token that the settlement
    must show. `resend` tells a manual delivery from the scheduled one, which has ''. `traceparent` is the accept's,
    `previous` that of the attempt before this one. Without a `content_type` the payload is JSON. `wants_trace` tells
    whether the endpoint asks for our trace context, `delivered` that another attempt has succeeded meanwhile.
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
    """Why nothing is sent although it is due: a word from a closed list; None when it is sent."""
    if not claim.endpoint_active:
        return "endpoint_disabled"
    return "payload_removed" if claim.payload is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, as it is kept. `trace_id` and `span_id` lead to it in the traces.

    `request_headers` are those that went out, `response_headers` those of the answer, without secrets and bounded.
    """

    id: AttemptId
    message_id: MessageId
    endpoint_id: EndpointId
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
        """Why it failed, or what was odd about its success, in one sentence; None when there is nothing to say."""
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
    """What is kept of a claim's attempt."""
    exchange = outcome.exchange
    return Attempt(
        id=id,
        message_id=claim.message_id,
        endpoint_id=claim.endpoint_id,
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
    """What came of a claim, ready to be kept. `attempt` is None when nothing was sent because nobody is there.

    `rest` is how long the endpoint should get nothing, at the least; None when there is no reason for a rest.
    """

    claim: Claim
    verdict: Verdict
    attempt: Attempt | None
    rest: timedelta | None = None

    @property
    def endpoint_gone(self) -> bool:
        """Whether the receiver said that it wants no more."""
        return isinstance(self.verdict, Gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`applied` is False when the lease has passed to somebody else. The endpoint may have been switched off by it."""

    applied: bool
    endpoint_switched_off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """How a delivery stands: still owed (with the time of its next attempt) or final."""

    message_id: MessageId
    endpoint_id: EndpointId
    status: Status
    attempts: int
    next_attempt_at: datetime | None
