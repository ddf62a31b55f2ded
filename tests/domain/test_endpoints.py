"""Why and since when an endpoint is disabled, as requests change it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.domain.endpoints import DisabledReason, Endpoint, explained
from tests.support.kept import NOW, an_application, an_endpoint

LATER = NOW + timedelta(days=1)
ENABLED = an_endpoint(an_application())
BY_THE_ENGINE = replace(ENABLED, disabled=True, disabled_reason=DisabledReason.GONE, disabled_at=NOW)


@pytest.mark.parametrize(
    ("before", "disabled", "reason", "since"),
    [
        (None, False, None, None),
        (None, True, DisabledReason.CUSTOMER, LATER),
        (ENABLED, False, None, None),
        (ENABLED, True, DisabledReason.CUSTOMER, LATER),
        (BY_THE_ENGINE, True, DisabledReason.GONE, NOW),
        (BY_THE_ENGINE, False, None, None),
    ],
)
def test_a_request_explains_an_endpoint_that_it_disables_and_keeps_the_reason_of_one_that_was(
    before: Endpoint | None, disabled: bool, reason: DisabledReason | None, since: object
) -> None:
    asked_for = replace(before or ENABLED, disabled=disabled, updated_at=LATER)

    changed = explained(asked_for, before=before)

    assert (changed.disabled_reason, changed.disabled_at) == (reason, since)
