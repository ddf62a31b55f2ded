"""Reading `Retry-After`, case by case."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.http.retry_after import LONGEST, read_retry_after

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        pytest.param("120", timedelta(seconds=120), id="seconds"),
        pytest.param(" 120 ", timedelta(seconds=120), id="spaces around"),
        pytest.param("0", timedelta(), id="at once"),
        pytest.param("1.01", timedelta(seconds=2), id="fractions are rounded up"),
        pytest.param("999999999999", LONGEST, id="for ever is cut"),
        pytest.param("Mon, 23 Nov 2026 12:00:30 GMT", timedelta(seconds=30), id="a date"),
        pytest.param("Mon, 23 Nov 2026 12:00:30", timedelta(seconds=30), id="a date without a zone"),
        pytest.param("Mon, 23 Nov 2026 11:00:00 GMT", timedelta(), id="a date that has passed"),
        pytest.param("Sun, 06 Nov 9994 08:49:37 GMT", LONGEST, id="a date too far away"),
        pytest.param(None, None, id="no header"),
        pytest.param("", None, id="empty"),
        pytest.param("-5", None, id="negative"),
        pytest.param("soon", None, id="words"),
        pytest.param("1e3", None, id="scientific"),
        pytest.param("inf", None, id="infinity"),
        pytest.param("٣", None, id="digits that are not ASCII"),
        pytest.param("120, 60", None, id="sent twice"),
    ],
)
def test_the_wait(value: str | None, wait: timedelta | None) -> None:
    assert read_retry_after(value, at=NOW) == wait


@given(value=st.text())
def test_nothing_a_receiver_writes_breaks_it(value: str) -> None:
    wait = read_retry_after(value, at=NOW)

    assert wait is None or timedelta() <= wait <= LONGEST
