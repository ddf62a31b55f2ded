"""Who may know of an event type, and what it may promise."""

from contextlib import nullcontext

import pytest

from service.domain.errors import Invalid
from tests.support.kept import an_event_type


@pytest.mark.parametrize(
    ("asked", "flags", "visible"),
    [
        (None, None, True),
        (None, set(), True),
        (None, {"beta"}, True),
        (("beta",), None, True),
        (("beta",), {"beta"}, True),
        (("beta", "new"), {"old", "new"}, True),
        (("beta",), {"new"}, False),
        (("beta",), {"Beta"}, False),
        (("beta",), set(), False),
        ((), {"beta"}, False),
        ((), None, True),
    ],
)
def test_flags_open_what_asks_for_one_of_them(
    asked: tuple[str, ...] | None, flags: set[str] | None, visible: bool
) -> None:
    assert an_event_type(feature_flags=asked).is_visible(flags) is visible


@pytest.mark.parametrize(
    ("validates", "schemas", "refused"),
    [
        (True, None, True),
        (True, "{}", True),
        (True, '{"1": {}}', False),
        (False, None, False),
        (False, "{}", False),
    ],
)
def test_who_validates_payloads_needs_a_schema(validates: bool, schemas: str | None, refused: bool) -> None:
    event_type = an_event_type(validate_payloads=validates, schemas=schemas)

    with pytest.raises(Invalid, match="no schema") if refused else nullcontext():
        event_type.refuse_empty_promise()
