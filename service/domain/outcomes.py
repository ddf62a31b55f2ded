"""The outcome of one attempt, in terms that fit every kind of destination.

A sender turns the result of its call into one of four outcomes; everything after is decided from these alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from service.domain.headers import Pairs


class ErrorType(StrEnum):
    """Why an attempt failed: a closed list, fit for a metric label. The last two are answers of the receiver."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    MALFORMED = "malformed_answer"
    EGRESS = "egress_refused"
    INTERNAL = "internal"  # our own fault, which says nothing about the receiver
    REFUSED = "refused"  # the receiver refused this message, which says nothing about the next one
    FAULT = "receiver_fault"  # the receiver reported an error on its side


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was sent and received, stored with the attempt for people to read; nothing is decided from it.

    `status` is that of an HTTP answer, 0 without one. `text` is the answer's body, or a sentence of ours that the
    tenant may see: at most 20,000 bytes, without NUL. `broken` says what cut the answer short after its status, which
    counts all the same. `sent` and `received` are headers, as returned by `headers.kept`.
    """

    duration: timedelta
    status: int = 0
    text: str = ""
    broken: ErrorType | None = None
    sent: Pairs = ()
    received: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The receiver accepted the message."""

    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedForGood:
    """The receiver wants neither this message nor any later one."""

    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedForNow:
    """The receiver is overloaded or down, whatever it is sent. `wait` is the pause that it asks for."""

    exchange: Exchange
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """There was no answer, or the answer is not a success."""

    exchange: Exchange
    error_type: ErrorType


Outcome = Taken | RefusedForGood | RefusedForNow | Failed

NO_ANSWER: dict[str, str] = {
    ErrorType.DNS: "The host name could not be resolved.",
    ErrorType.CONNECT: "The connection to the receiver could not be opened.",
    ErrorType.TLS: "The TLS handshake with the receiver failed.",
    ErrorType.TIMEOUT: "The receiver did not answer in time.",
    ErrorType.RESET: "The receiver closed the connection before it answered.",
    ErrorType.MALFORMED: "The receiver's answer is not valid HTTP.",
    ErrorType.EGRESS: "The address of the host is not one that may be called.",
    ErrorType.INTERNAL: "The attempt failed on our side.",
    ErrorType.REFUSED: "The receiver refused the message.",
    ErrorType.FAULT: "Something broke on the receiver's side.",
}
BROKEN: dict[str, str] = {
    ErrorType.TIMEOUT: "the rest of the answer did not come in time",
    ErrorType.RESET: "the receiver closed the connection",
    ErrorType.MALFORMED: "the rest of the answer is not valid HTTP",
}


def our_fault(duration: timedelta) -> Failed:
    """The outcome of an attempt that failed because of a fault of ours."""
    exchange = Exchange(duration=duration, text=NO_ANSWER[ErrorType.INTERNAL])
    return Failed(exchange=exchange, error_type=ErrorType.INTERNAL)


def is_our_fault(outcome: Outcome) -> bool:
    """Whether the outcome says nothing about the receiver."""
    return isinstance(outcome, Failed) and outcome.error_type is ErrorType.INTERNAL


def shows_strain(outcome: Outcome) -> bool:
    """Whether the receiver should get fewer attempts at once: no answer, an overload, an error on its side. A refusal
    of the message alone is no sign of strain."""
    match outcome:
        case Taken() | RefusedForGood():
            return False
        case RefusedForNow():
            return True
        case Failed(error_type=error_type):
            return error_type is not ErrorType.REFUSED
        case _:
            assert_never(outcome)


def status_class(outcome: Outcome) -> str | None:
    """The class of the HTTP status, such as `2xx`; None without a status."""
    status = outcome.exchange.status
    return f"{status // 100}xx" if status else None


def error_label(outcome: Outcome) -> str | None:
    """Why the attempt was no success: the class of its status, or else the kind of error. A closed list, fit for a
    metric label. None for a success.
    """
    match outcome:
        case Taken():
            return None
        case RefusedForGood():
            return status_class(outcome) or "refused_for_good"
        case RefusedForNow():
            return status_class(outcome) or "refused_for_now"
        case Failed(error_type=error_type):
            return status_class(outcome) or error_type.value
        case _:
            assert_never(outcome)


def kept_error(outcome: Outcome) -> ErrorType | None:
    """The error stored with the attempt: what prevented an answer or cut it short. None if only the status matters."""
    if outcome.exchange.status:
        return outcome.exchange.broken
    return outcome.error_type if isinstance(outcome, Failed) else None
