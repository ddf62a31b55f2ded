"""`relevo tail`: what is read from the stream, and the line for each event."""

import pytest

from service.commands.tail.events import Event, events
from service.commands.tail.printing import line_of

ATTEMPT = {
    "id": "atmpt_1",
    "msgId": "msg_1",
    "url": "https://example.com/hook",
    "statusText": "success",
    "responseStatusCode": 204,
    "responseDurationMs": 12,
    "errorType": None,
    "timestamp": "2026-01-02T03:04:05Z",
}


def attempt(**others: object) -> Event:
    return Event(name="attempt", data=ATTEMPT | others, id="atmpt_1")


def printed(event: Event) -> str:
    line = line_of(event)
    assert line is not None
    return line.plain


def test_an_attempt_is_a_line_with_its_time_result_message_and_address() -> None:
    line = printed(attempt())

    assert line == "2026-01-02T03:04:05Z  success                204      12 ms  msg_1  https://example.com/hook"


def test_an_attempt_without_an_answer_says_why() -> None:
    line = printed(attempt(statusText="fail", responseStatusCode=0, errorType="timeout"))

    assert line.split() == [
        "2026-01-02T03:04:05Z",
        "fail",
        "timeout",
        "12",
        "ms",
        "msg_1",
        "https://example.com/hook",
    ]


def test_the_colour_of_a_line_is_its_status() -> None:
    styles = {status: line_of(attempt(statusText=status)) for status in ("success", "fail", "canceled")}

    assert {status: line and str(line.spans[0].style) for status, line in styles.items()} == {
        "success": "green",
        "fail": "red",
        "canceled": "yellow",
    }


@pytest.mark.parametrize(
    ("missed", "line"),
    [
        (None, "--- attempts may be missing here ---"),
        (1, "--- 1 attempt is missing here ---"),
        (50, "--- 50 attempts are missing here ---"),
    ],
)
def test_a_gap_is_shown_with_what_is_known_of_it(missed: int | None, line: str) -> None:
    assert printed(Event(name="gap", data={"missed": missed})) == line


@pytest.mark.parametrize("name", ["ready", "of a later release"])
def test_other_events_have_no_line(name: str) -> None:
    assert line_of(Event(name=name, data={})) is None


def test_an_address_cannot_speak_to_the_terminal() -> None:
    line = printed(attempt(url="https://example.com/\x1b[2J\u202e\r\n"))

    assert line.endswith("https://example.com/?[2J???")


def test_events_are_read_however_the_bytes_are_cut() -> None:
    written = (
        ": still here\n\nevent: ready\ndata: {}\n\n"
        'id: atmpt_1\r\nevent: attempt\r\ndata: {"text": "a\x85b\u2028c: d"}\r\n\r\n'
        'event: gap\ndata: {"missed": 3}\n\nevent: attempt\ndata: {"cut": '
    ).encode()

    read = [list(events(written[i : i + size] for i in range(0, len(written), size))) for size in (1, 7, 1000)]

    assert read == 3 * [
        [
            Event(name="ready", data={}),
            Event(name="attempt", data={"text": "a\x85b\u2028c: d"}, id="atmpt_1"),
            Event(name="gap", data={"missed": 3}),
        ]
    ]


@pytest.mark.parametrize("data", ["{", "[]"])
def test_data_that_is_no_object_is_no_event(data: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader's promise is no more than that
        list(events([f"data: {data}\n\n".encode()]))
