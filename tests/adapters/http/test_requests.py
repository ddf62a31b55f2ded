"""Requests as they are written: what is cached of them is never anything old."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.destinations.http.egress import Egress, EgressRefused
from service.adapters.destinations.http.requests import Requests
from service.domain.destinations import HttpDestination, Parcel
from service.domain.headers import Pairs, kept
from service.domain.ids import MessageId

PLAIN = HttpDestination(url="https://a.example/path")
PARCEL = Parcel(message_id=MessageId("msg_1"), body=b"{}", headers={"webhook-id": "msg_1"})
NAMES = st.sampled_from(["X-A", "x-b", "Authorization", "Accept", "content-type", "Webhook-Id", "X-Secret-Key"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
LONG_VALUES = st.integers(0, 3_000).map("v".__mul__)


@pytest.fixture(scope="module")
def requests() -> Requests:
    return Requests(Egress([ip_network("127.0.0.0/8")]))


def lines(requests: Requests, destination: HttpDestination, parcel: Parcel = PARCEL) -> Pairs:
    """The headers of a request in their order, but for those that no attempt stores."""
    head, _, _ = requests.post(destination, parcel).written.partition(b"\r\n\r\n")
    pairs = [line.partition(": ")[::2] for line in head.decode("latin-1").split("\r\n")[1:]]
    return tuple((name, value) for name, value in pairs if name not in {"Host", "Content-Length"})


@pytest.mark.parametrize(
    "changed",
    [
        HttpDestination(url="https://a.example/path", headers={"X-A": "new"}),
        HttpDestination(url="https://a.example/path", headers={"x-a": "old"}),
        HttpDestination(url="https://a.example/path", headers={"X-A": "old", "X-B": "new"}),
        HttpDestination(url="https://a.example/other", headers={"X-A": "old"}),
        HttpDestination(url="https://u:new@a.example/path", headers={"X-A": "old"}),
        PLAIN,
    ],
)
def test_an_endpoint_that_was_changed_is_sent_what_it_is_now(requests: Requests, changed: HttpDestination) -> None:
    before = HttpDestination(url="https://a.example/path", headers={"X-A": "old"})

    sent = [requests.post(each, PARCEL).written for each in (before, changed, before, changed)]

    fresh = Requests(Egress())
    assert sent[1] == sent[3] == fresh.post(changed, PARCEL).written != sent[0] == sent[2]


@pytest.mark.parametrize(
    "changed",
    [
        {"content_type": "application/cloudevents+json"},
        {"headers": {"webhook-id": "msg_1", "traceparent": "00-1"}},
        {"headers": {"svix-id": "msg_1"}},
        {"body": b"longer"},
    ],
)
def test_what_comes_with_one_message_is_not_sent_with_the_next(requests: Requests, changed: dict[str, Any]) -> None:
    other = replace(PARCEL, **changed)

    sent = [requests.post(PLAIN, each).written for each in (PARCEL, other, PARCEL)]

    assert sent[0] == sent[2] != sent[1]


@pytest.mark.parametrize("name", ["traceparent", "Traceparent"])
def test_a_header_of_a_message_takes_the_place_of_the_endpoints_however_it_is_spelled(
    requests: Requests, name: str
) -> None:
    parcel = replace(PARCEL, headers={"traceparent": "ours"})

    sent = lines(requests, HttpDestination(url=PLAIN.url, headers={name: "theirs"}), parcel)

    assert [value for key, value in sent if key.lower() == "traceparent"] == ["ours"]


@given(
    own=st.dictionaries(NAMES, VALUES | LONG_VALUES, max_size=4),
    with_message=st.dictionaries(NAMES, VALUES | LONG_VALUES, min_size=1, max_size=3),
    content_type=st.sampled_from([None, "text/plain"]),
)
def test_what_is_stored_of_a_request_is_the_beginning_of_what_was_sent(
    own: dict[str, str], with_message: dict[str, str], content_type: str | None
) -> None:
    destination = HttpDestination(url=PLAIN.url, headers=own)
    parcel = replace(PARCEL, headers=with_message, content_type=content_type)
    requests = Requests(Egress())

    stored = {requests.post(destination, parcel).sent for _ in range(2)}

    assert stored == {kept(lines(requests, destination, parcel))}


def test_behind_the_first_header_that_has_no_room_none_is_stored(requests: Requests) -> None:
    destination = HttpDestination(url=PLAIN.url, headers={"X-A": "v" * 4_096})

    sent = requests.post(destination, PARCEL).sent

    assert {"X-A", "webhook-id"} & {name for name, _ in sent} == set()


def test_an_address_that_may_not_be_called_is_refused_each_time(requests: Requests) -> None:
    for _ in range(2):
        with pytest.raises(EgressRefused):
            requests.post(HttpDestination(url="http://10.0.0.1/"), PARCEL)


@pytest.mark.parametrize("name", ["webhook-id", "X-Own"])
def test_a_header_that_holds_another_one_is_not_written_wherever_it_comes_from(requests: Requests, name: str) -> None:
    injected = {name: "1\r\nX-Injected: 1"}
    destination = PLAIN if name == "webhook-id" else HttpDestination(url=PLAIN.url, headers=injected)

    with pytest.raises(ValueError, match="line break"):
        requests.post(destination, replace(PARCEL, headers=injected if name == "webhook-id" else PARCEL.headers))
