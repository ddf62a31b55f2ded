"""Which attempts an organisation is told of."""

from datetime import timedelta
from typing import Any

import pytest

from service.domain.deliveries import Trigger, attempt_of
from service.domain.ids import AttemptId, OrgId
from service.domain.operational_webhooks import FAILING_ATTEMPT, OPERATIONS, OperationalEvent, attempt_event
from service.domain.outcomes import ErrorType, Exchange, Failed, Outcome, Taken
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain, Verdict
from tests.support.factories import ORG, a_claim
from tests.support.kept import NOW

TAKEN = Taken(exchange=Exchange(duration=timedelta(), status=200))
FAILED = Failed(exchange=Exchange(duration=timedelta(), status=500), error_type=ErrorType.FAULT)
AGAIN = TryAgain(delay=timedelta(hours=1))

CASES: list[tuple[int, Outcome, Verdict, str | None]] = [
    *((number, FAILED, AGAIN, None) for number in range(1, FAILING_ATTEMPT)),
    (FAILING_ATTEMPT, FAILED, AGAIN, "message.attempt.failing"),
    (FAILING_ATTEMPT + 1, FAILED, AGAIN, None),
    (1, TAKEN, Delivered(), None),
    (FAILING_ATTEMPT, TAKEN, Delivered(), None),
    (FAILING_ATTEMPT + 1, TAKEN, Delivered(), "message.attempt.recovered"),
    (1, FAILED, Exhausted(reason="attempts_used_up"), "message.attempt.exhausted"),
    (8, FAILED, Exhausted(reason="attempts_used_up"), "message.attempt.exhausted"),
    (2, FAILED, Gone(), "message.attempt.exhausted"),
]


def told(number: int, outcome: Outcome, verdict: Verdict, **changed: Any) -> str | None:
    claim = a_claim(attempt=number, **changed)
    attempt = attempt_of(claim, outcome, id=AttemptId("atmpt_1"), started_at=NOW, trace_id=None)
    return attempt_event(claim, verdict, attempt)


@pytest.mark.parametrize(("number", "outcome", "verdict", "event"), CASES)
def test_an_attempt_gives_cause_to_tell(number: int, outcome: Outcome, verdict: Verdict, event: str | None) -> None:
    assert told(number, outcome, verdict) == event


@pytest.mark.parametrize("changed", [{"trigger": Trigger.MANUAL}, {"org_id": OPERATIONS}], ids=["by hand", "our own"])
@pytest.mark.parametrize(("number", "outcome", "verdict", "event"), CASES)
def test_nobody_is_told_of_attempts_by_hand_nor_of_what_tells(
    number: int, outcome: Outcome, verdict: Verdict, event: str | None, changed: dict[str, Any]
) -> None:
    assert told(number, outcome, verdict, **changed) is None


def test_nobody_is_told_where_nothing_was_sent() -> None:
    assert attempt_event(a_claim(attempt=FAILING_ATTEMPT), Canceled(reason="endpoint_disabled"), None) is None


def test_an_event_is_delivered_as_its_type_and_data() -> None:
    event = OperationalEvent(org_id=ORG, event_type="endpoint.created", data={"appId": "app_1", "appUid": None})

    assert event.payload == b'{"type":"endpoint.created","data":{"appId":"app_1","appUid":null}}'


def test_no_organisation_of_a_tenant_is_called_as_that_of_relevo() -> None:
    assert OrgId(ORG) != OPERATIONS
