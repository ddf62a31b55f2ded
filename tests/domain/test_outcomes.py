"""What outcomes say of a receiver, and how they are told."""

from datetime import timedelta

import pytest

from service.domain.outcomes import (
    BROKEN,
    NO_ANSWER,
    ErrorType,
    Exchange,
    Failed,
    Outcome,
    RefusedForGood,
    RefusedForNow,
    Taken,
    error_label,
    is_our_fault,
    kept_error,
    our_fault,
    shows_strain,
    status_class,
)


def over(status: int, broken: ErrorType | None = None) -> Exchange:
    return Exchange(duration=timedelta(), status=status, broken=broken)


# Class of the status, label of a metric, error that is kept, strain.
TOLD: dict[str, tuple[Outcome, str | None, str | None, ErrorType | None, bool]] = {
    "taken": (Taken(exchange=over(200)), "2xx", None, None, False),
    "taken without a status": (Taken(exchange=over(0)), None, None, None, False),
    "taken, broken off": (Taken(exchange=over(200, ErrorType.RESET)), "2xx", None, ErrorType.RESET, False),
    "refused for good": (RefusedForGood(exchange=over(410)), "4xx", "4xx", None, False),
    "refused for good, no status": (RefusedForGood(exchange=over(0)), None, "refused_for_good", None, False),
    "refused for now": (RefusedForNow(exchange=over(503)), "5xx", "5xx", None, True),
    "refused for now, no status": (RefusedForNow(exchange=over(0)), None, "refused_for_now", None, True),
    "refused": (Failed(exchange=over(400), error_type=ErrorType.REFUSED), "4xx", "4xx", None, False),
    "a fault": (Failed(exchange=over(500), error_type=ErrorType.FAULT), "5xx", "5xx", None, True),
    "a timeout": (
        Failed(exchange=over(0), error_type=ErrorType.TIMEOUT),
        None,
        "timeout",
        ErrorType.TIMEOUT,
        True,
    ),
    "our fault": (our_fault(timedelta()), None, "internal", ErrorType.INTERNAL, True),
}


@pytest.mark.parametrize("name", TOLD)
def test_an_outcome_is_told_by_its_status_or_else_by_its_kind(name: str) -> None:
    outcome, of_status, label, kept, strain = TOLD[name]

    assert (status_class(outcome), error_label(outcome), kept_error(outcome)) == (of_status, label, kept)
    assert shows_strain(outcome) is strain


@pytest.mark.parametrize("name", TOLD)
def test_only_a_fault_of_ours_says_nothing_of_the_receiver(name: str) -> None:
    assert is_our_fault(TOLD[name][0]) is (name == "our fault")


def test_every_error_has_its_sentence() -> None:
    assert NO_ANSWER.keys() == set(ErrorType)
    assert BROKEN.keys() < NO_ANSWER.keys()
