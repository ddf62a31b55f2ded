"""A delivery, one message owed to one endpoint, and what came of trying it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from service.domain.headers import Pairs
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId
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


class ErrorType(StrEnum):
    """Why there was no answer: a closed list, fit for a metric label."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    MALFORMED = "malformed_answer"
    EGRESS = "egress_refused"
    INTERNAL = "internal"  # our own fault, which says nothing of the receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The receiver answered. `body` is text of at most 20,000 bytes, without NUL.

    `broken` tells what cut the answer short after its status, which counts all the same. `headers` are the answer's and
    `sent` ours, as `headers.kept` leaves them.
    """

    status: int
    body: str
    retry_after: timedelta | None
    duration: timedelta
    broken: ErrorType | None = None
    headers: Pairs = ()
    sent: Pairs = ()

    @property
    def succeeded(self) -> bool:
        """Only a 2xx is a success; redirects are not followed."""
        return 200 <= self.status < 300

    @property
    def label(self) -> str:
        """The metric label: `2xx` and the like."""
        return f"{self.status // 100}xx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No answer. `message` is safe to show to the tenant; `sent` are our headers, if the request may have gone out."""

    error_type: ErrorType
    message: str
    duration: timedelta
    sent: Pairs = ()

    @property
    def succeeded(self) -> bool:
        """Never."""
        return False

    @property
    def label(self) -> str:
        """The metric label: the error type."""
        return self.error_type.value


Outcome = Answered | Failed

NO_ANSWER: dict[str, str] = {
    ErrorType.DNS: "The host name could not be resolved.",
    ErrorType.CONNECT: "The connection to the receiver could not be opened.",
    ErrorType.TLS: "The TLS handshake with the receiver failed.",
    ErrorType.TIMEOUT: "The receiver did not answer in time.",
    ErrorType.RESET: "The receiver closed the connection before it answered.",
    ErrorType.MALFORMED: "The receiver's answer is not valid HTTP.",
    ErrorType.EGRESS: "The address of the host is not one that may be called.",
    ErrorType.INTERNAL: "The attempt failed on our side.",
}
BROKEN: dict[str, str] = {
    ErrorType.TIMEOUT: "the rest of the answer did not come in time",
    ErrorType.RESET: "the receiver closed the connection",
    ErrorType.MALFORMED: "the rest of the answer is not valid HTTP",
}


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
    url: str
    headers: dict[str, str]
    secrets: tuple[Secret, ...]
    endpoint_active: bool
    correlation_id: str
    traceparent: str | None
    previous: str | None = None
    content_type: str | None = None
    wants_trace: bool = False
    delivered: bool = False
    app_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, as it is kept. `trace_id` and `span_id` lead to it in the traces.

    `request_headers` are those that went out, `response_headers` those of the answer, without secrets and bounded.
    """

    id: AttemptId
    message_id: MessageId
    endpoint_id: EndpointId
    url: str
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
        if not self.response_status_code:
            return NO_ANSWER.get(self.error_type or "", "There was no answer.")
        if self.error_type is not None:
            return (
                f"After the status {self.response_status_code}, {BROKEN.get(self.error_type, 'the answer broke off')}."
            )
        return None if self.status is Status.SUCCESS else f"The receiver answered {self.response_status_code}."


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
    return Attempt(
        id=id,
        message_id=claim.message_id,
        endpoint_id=claim.endpoint_id,
        url=claim.url,
        status=Status.SUCCESS if outcome.succeeded else Status.FAIL,
        response=outcome.body if isinstance(outcome, Answered) else outcome.message,
        response_status_code=outcome.status if isinstance(outcome, Answered) else 0,
        duration_ms=round(outcome.duration.total_seconds() * 1000),
        trigger=claim.trigger,
        number=claim.attempt,
        started_at=started_at,
        error_type=_error_type(outcome),
        trace_id=trace_id,
        span_id=span_id,
        request_headers=outcome.sent,
        response_headers=outcome.headers if isinstance(outcome, Answered) else (),
    )


def _error_type(outcome: Outcome) -> str | None:
    return outcome.error_type if isinstance(outcome, Failed) else outcome.broken


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """How a delivery stands: still owed (with the time of its next attempt) or final."""

    message_id: MessageId
    endpoint_id: EndpointId
    status: Status
    attempts: int
    next_attempt_at: datetime | None
