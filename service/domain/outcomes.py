"""What came of one try to deliver, in words that fit a destination of any kind.

The sender of a kind turns what it met into one of four outcomes; what follows is decided from these alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from service.domain.headers import Pairs


class ErrorType(StrEnum):
    """Why a try failed: a closed list, fit for a metric label. The last two are answers."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    MALFORMED = "malformed_answer"
    EGRESS = "egress_refused"
    INTERNAL = "internal"  # our own fault, which says nothing of the receiver
    REFUSED = "refused"  # the receiver does not take this message, which says nothing of the next one
    FAULT = "receiver_fault"  # the receiver says that something broke on its side


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What went out and what came back, for a person to read: kept with the attempt, and nothing is decided from it.

    `status` is that of an HTTP answer, 0 when there was none. `text` is what the receiver said, or a sentence of ours
    that is safe to show to the tenant: at most 20,000 bytes, without NUL. `broken` tells what cut the answer short
    after its status, which counts all the same. `sent` and `received` are headers, as `headers.kept` leaves them.
    """

    duration: timedelta
    status: int = 0
    text: str = ""
    broken: ErrorType | None = None
    sent: Pairs = ()
    received: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The receiver has it, and answers for it."""

    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedForGood:
    """The receiver wants nothing more, this message or any other."""

    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedForNow:
    """The receiver is overloaded or away, whatever it is sent. `wait` is how long it asks to be left alone."""

    exchange: Exchange
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Nobody answered, or the answer is no yes."""

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
    """What is told of an attempt that broke here, whatever it was."""
    exchange = Exchange(duration=duration, text=NO_ANSWER[ErrorType.INTERNAL])
    return Failed(exchange=exchange, error_type=ErrorType.INTERNAL)


def is_our_fault(outcome: Outcome) -> bool:
    """Whether the outcome says nothing of the receiver."""
    return isinstance(outcome, Failed) and outcome.error_type is ErrorType.INTERNAL


def shows_strain(outcome: Outcome) -> bool:
    """Whether the receiver should be sent less at once: no answer, or one that says so. A plain refusal is none."""
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
    """`2xx` and the like, of what answered over HTTP."""
    status = outcome.exchange.status
    return f"{status // 100}xx" if status else None


def error_label(outcome: Outcome) -> str | None:
    """Why it was not taken: the class of the status, or else the kind of error. A closed list, fit for a metric label.

    None when it was taken.
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
    """What is kept as the attempt's error: what prevented an answer, or what cut it short; a status tells by itself."""
    if outcome.exchange.status:
        return outcome.exchange.broken
    return outcome.error_type if isinstance(outcome, Failed) else None
