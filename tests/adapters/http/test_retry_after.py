"""Reading `Retry-After`, case by case."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.destinations.http.outcomes import MAX_WAIT, read_retry_after

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        pytest.param("120", timedelta(seconds=120), id="seconds"),
        pytest.param(" 120 ", timedelta(seconds=120), id="spaces around"),
        pytest.param("0", timedelta(), id="at once"),
        pytest.param("1.01", timedelta(seconds=2), id="fractions are rounded up"),
        pytest.param("999999999999", MAX_WAIT, id="for ever is cut"),
        pytest.param("Mon, 23 Nov 2026 12:00:30 GMT", timedelta(seconds=30), id="a date"),
        pytest.param("Mon, 23 Nov 2026 12:00:30", timedelta(seconds=30), id="a date without a zone"),
        pytest.param("Mon, 23 Nov 2026 11:00:00 GMT", timedelta(), id="a date that has passed"),
        pytest.param("Sun, 06 Nov 9994 08:49:37 GMT", MAX_WAIT, id="a date too far away"),
        pytest.param(None, None, id="no header"),
        pytest.param("", None, id="empty"),
        pytest.param("-5", None, id="negative"),
        pytest.param("soon", None, id="words"),
        pytest.param("1e3", None, id="scientific"),
        pytest.param("inf", None, id="infinity"),
        pytest.param("٣", None, id="digits that are not ASCII"),
        pytest.param("120, 60", None, id="sent twice"),
        pytest.param("Wed, 21 Oct 99999999999 07:28:00 GMT", None, id="a year that is none"),
        pytest.param(f"Wed, 21 Oct {'9' * 90} 07:28:00 GMT", None, id="a year of many digits"),
        pytest.param("Wed, 21 Oct 0000 07:28:00 GMT", timedelta(), id="the year 0, which e-mail takes for 2000"),
        pytest.param("Wed, 21 Oct 0001 00:00:00 +2359", timedelta(), id="before all time"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 -2359", MAX_WAIT, id="after all time"),
        pytest.param("Wed, 21 Oct 2026 99999999999:28:00 GMT", None, id="an hour of many digits"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 +99999999999", None, id="a zone of many digits"),
        pytest.param("Wed, 32 Oct 2026 07:28:00 GMT", None, id="a day that is none"),
        pytest.param("Wed, 21 Oct 2026 25:61:61 GMT", None, id="a time that is none"),
        pytest.param("9" * 5_000, None, id="more digits than Python reads"),
        pytest.param("0" * 200 + "5", None, id="longer than any wish"),
    ],
)
def test_the_wait(value: str | None, wait: timedelta | None) -> None:
    assert read_retry_after(value, at=NOW) == wait


_NUMBER = st.integers(-(10**20), 10**20).map(str)
_PIECE = st.one_of(
    _NUMBER, st.sampled_from(["Wed,", "Oct", "GMT", "-0000", "+9999", ":", "-", ",", ".", "(", ")", "UT", "Z", "PM"])
)
_DATE_LIKE = st.lists(st.one_of(_PIECE, st.builds(":".join, st.lists(_NUMBER, max_size=4))), max_size=9).map(" ".join)
_NEAR_DATE = st.builds(
    "Wed, {} Oct {} {}:{}:{} {}".format, _NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER, st.one_of(_NUMBER, st.text())
)


@given(value=st.one_of(st.text(), _DATE_LIKE, _NEAR_DATE, st.binary().map(lambda raw: raw.decode("latin-1"))))
def test_nothing_a_receiver_writes_breaks_it(value: str) -> None:
    wait = read_retry_after(value, at=NOW)

    assert wait is None or timedelta() <= wait <= MAX_WAIT
