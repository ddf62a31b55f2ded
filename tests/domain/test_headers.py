"""Headers: what an endpoint may ask for, and what is kept of an attempt's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.headers import (
    MASK,
    MAX_KEPT_BYTES,
    MAX_TOTAL_BYTES,
    kept,
    may_be_secret,
    why_name_refused,
    why_refused,
    why_value_refused,
)


@pytest.mark.parametrize(
    "name",
    [
        *("Expect", "expect", "EXPECT", "Upgrade", "TE", "Te", "Trailer", "Trailers", "Connection", "Keep-Alive"),
        *("Proxy-Connection", "HTTP2-Settings", "Host", "Content-Length", "Transfer-Encoding", "Content-Type"),
        *("User-Agent", "webhook-id", "Svix-Signature", "x-amz-date", "Content-Encoding", "Proxy-Authorization"),
        *("Age", "Cache-Control", "Clear-Site-Data", "Content-Language", "Content-Location", "Expires", "Pragma"),
        *("Proxy-Authenticate", "Warning", "X-Amzn-Trace-Id", "X-Google-Real-IP", "X-Goog-Hash", "X-GFE-Request"),
        *("X-Azure-Ref", "X-FD-HealthProbe", "X-Svix-Id", "svix-id", "webhook-signature"),
        *("", "a b", "a:", "a\r\nb", "\u00e9", "a\0", "(a)", "x" * 257),
    ],
)
def test_a_name_that_is_none_or_not_the_endpoints_to_set_is_refused(name: str) -> None:
    assert why_name_refused(name)


@pytest.mark.parametrize("name", ["X-Tenant", "Authorization", "accept", "Cookie", "x_y", "X-TE", "Upgrade-Insecure"])
def test_other_names_may_be_asked_for(name: str) -> None:
    assert why_name_refused(name) is None


@pytest.mark.parametrize("value", ["", "a", "a\tb", "caf\u00e9", "\u00ff", "x" * 4096])
def test_a_value_is_latin_1(value: str) -> None:
    assert why_value_refused(value) is None


@pytest.mark.parametrize(
    "value", ["a\r\nb: c", "a\nb", "a\0", "\x7f", "\u20ac", "\u0142", "x" * 4097, "\ud800"[:0] + "\x1b"]
)
def test_nothing_else_is_a_value(value: str) -> None:
    assert why_value_refused(value)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-A": "1", "x-a": "2"}, "twice"),
        ({"X-A": "1", "X-B": "1", "x-A": None}, "twice"),
        ({f"X-{number}": "x" * 4000 for number in range(5)}, "together"),
        ({f"X-{number:0250}": "" for number in range(66)}, "together"),
        ({f"X-{number}": "\u00e9" * 2000 for number in range(5)}, "together"),
    ],
)
def test_headers_that_do_not_go_together_are_refused(headers: dict[str, str | None], said: str) -> None:
    assert said in (why_refused(headers) or "")


def test_headers_that_go_together_are_not() -> None:
    assert why_refused({}) is None
    assert why_refused({"X-A": "x" * (MAX_TOTAL_BYTES - 3)}) is None
    assert why_refused({"X-A": "x" * (MAX_TOTAL_BYTES - 2)}) is not None


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "authorization", "Proxy-Authorization", "X-API-Key", "Api-Key", "X-Auth-Token", "Cookie"),
        *("Set-Cookie", "webhook-signature", "svix-signature", "X-Hub-Signature-256", "X-Secret", "client_secret"),
        *("X-Password", "X-Pwd", "passphrase", "X-Access-Token", "X-CSRF-Token", "X-JWT", "X-Session-Id", "Bearer"),
        *("X-Credentials", "WWW-Authenticate", "X-Shopify-Hmac-Key", "Sec-WebSocket-Key"),
    ],
)
def test_what_may_let_somebody_in_is_masked(name: str) -> None:
    assert may_be_secret(name)
    assert kept([(name, "open sesame"), ("X-A", "a")]) == ((name, MASK), ("X-A", "a"))


@pytest.mark.parametrize(
    "name", ["webhook-id", "webhook-timestamp", "Content-Type", "traceparent", "User-Agent", "Date"]
)
def test_what_tells_nothing_secret_is_kept_as_it_is(name: str) -> None:
    assert kept([(name, "value")]) == ((name, "value"),)


def test_control_characters_are_replaced() -> None:
    assert kept([("X-A", "a\0b\x1b[31m\r\n\x85")]) == (("X-A", "a\ufffdb\ufffd[31m\ufffd\ufffd\ufffd"),)


def test_what_is_kept_ends_with_the_first_that_has_no_room() -> None:
    assert kept([("X-A", "x" * (MAX_KEPT_BYTES - 7)), ("X-B", "1"), ("X-C", "2")])[1:] == (("X-B", "1"),)
    assert len(kept([(f"X-{number:02}", "x" * 96) for number in range(100)])) == 40
    assert kept([("X-A", "x" * MAX_KEPT_BYTES), ("X-B", "1")]) == ()


@given(st.lists(st.tuples(st.text(max_size=5_000), st.text(max_size=5_000)), max_size=20))
def test_however_many_there_are_what_is_kept_is_bounded(headers: list[tuple[str, str]]) -> None:
    shown = kept(headers)

    assert sum(len(name.encode()) + len(value.encode()) for name, value in shown) <= MAX_KEPT_BYTES
    assert len(shown) <= len(headers)
