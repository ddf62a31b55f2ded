"""Identifiers are the field's KSUIDs, and their order is the order of time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import ids

EPOCH = datetime.fromtimestamp(1_400_000_000, UTC)
TICK = timedelta(seconds=1 / 256)  # rounded to a microsecond
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

instants = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
random_bytes = st.binary(min_size=ids.RANDOM_BYTES, max_size=ids.RANDOM_BYTES)


def layout(identifier: str) -> bytes:
    """The twenty bytes of an identifier, read digit by digit as the layout is written down."""
    value = 0
    for digit in identifier[-27:]:
        value = value * 62 + ALPHABET.index(digit)
    return value.to_bytes(20)


@pytest.mark.parametrize(
    ("at", "randomness", "expected"),
    [
        pytest.param(EPOCH, bytes(15), "0" * 27, id="the first of all"),
        pytest.param(EPOCH, bytes(14) + b"\x01", "0" * 26 + "1", id="one more"),
        pytest.param(EPOCH, bytes(14) + b"\x3e", "0" * 25 + "10", id="the second digit"),
        pytest.param(
            EPOCH + timedelta(seconds=(2**40 - 1) / 256),
            b"\xff" * 15,
            "aWgEPTl1tmebfsQzFP4bxwgy80V",
            id="the last of all",
        ),
    ],
)
def test_an_identifier_is_27_base62_digits_of_ticks_and_randomness(
    at: datetime, randomness: bytes, expected: str
) -> None:
    assert ids.make(ids.MESSAGE, at=at, randomness=randomness) == "msg_" + expected


@given(at=instants, randomness=random_bytes)
def test_the_first_five_bytes_are_ticks_of_a_256th_of_a_second_since_the_epoch(at: datetime, randomness: bytes) -> None:
    raw = layout(ids.make(ids.APPLICATION, at=at, randomness=randomness))

    assert abs(timedelta(seconds=int.from_bytes(raw[:5]) / 256) - (at - EPOCH)) <= TICK
    assert raw[5:] == randomness


@given(at=instants, randomness=random_bytes)
def test_an_identifier_tells_when_it_was_made(at: datetime, randomness: bytes) -> None:
    identifier = ids.make(ids.ATTEMPT, at=at, randomness=randomness)

    assert abs(ids.time_of(identifier) - at) <= TICK


@given(at=instants, randomness=random_bytes)
def test_an_instants_bounds_enclose_its_identifiers(at: datetime, randomness: bytes) -> None:
    identifier = ids.make(ids.MESSAGE, at=at, randomness=randomness)

    assert ids.lowest(ids.MESSAGE, at) <= identifier <= ids.highest(ids.MESSAGE, at)


@given(at=instants, later=st.timedeltas(timedelta(milliseconds=8), timedelta(days=365)), low=random_bytes)
def test_text_order_is_time_order(at: datetime, later: timedelta, low: bytes) -> None:
    earlier = ids.make(ids.MESSAGE, at=at, randomness=b"\xff" * 15)

    assert earlier < ids.make(ids.MESSAGE, at=at + later, randomness=low)


def test_lengths_are_those_that_the_interface_pins() -> None:
    lengths = {
        prefix: len(ids.make(prefix, at=EPOCH, randomness=bytes(15)))
        for prefix in (ids.APPLICATION, ids.ENDPOINT, ids.MESSAGE, ids.ATTEMPT, ids.TASK)
    }

    assert lengths == {"app_": 31, "ep_": 30, "msg_": 31, "atmpt_": 33, "qtask_": 33}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        pytest.param("msg_" + "0" * 27, True, id="the lowest"),
        pytest.param("msg_" + "aWgEPTl1tmebfsQzFP4bxwgy80V", True, id="the highest"),
        pytest.param("msg_" + "aWgEPTl1tmebfsQzFP4bxwgy80W", False, id="past the highest"),
        pytest.param("msg_" + "z" * 27, False, id="more than twenty bytes"),
        pytest.param("app_" + "0" * 27, False, id="another prefix"),
        pytest.param("msg_" + "0" * 26, False, id="too short"),
        pytest.param("msg_" + "0" * 28, False, id="too long"),
        pytest.param("msg_" + "0" * 26 + "-", False, id="not a digit"),
        pytest.param("msg_" + "0" * 26 + "é", False, id="not ASCII"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_only_a_complete_identifier_is_valid(text: str, valid: bool) -> None:
    assert ids.is_valid(ids.MESSAGE, text) is valid


@pytest.mark.parametrize("text", ["msg_" + "!" * 27, "msg_" + "z" * 27])
def test_what_is_no_identifier_has_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"base62|KSUID"):
        ids.time_of(text)


def test_times_before_the_epoch_take_its_place() -> None:
    assert ids.lowest("", EPOCH - timedelta(days=1)) == "0" * 27
