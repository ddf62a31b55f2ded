"""A message as a line of JSON, its headers, and its key."""

import json
from dataclasses import replace

import pytest

from service.adapters.destinations import records
from tests.support.batch_stands import TRACEPARENT, a_batch

BATCH = a_batch(b'{ "a": 1.0,\r\n "b": "\\n" }')
(MESSAGE,) = BATCH.messages


def test_a_line_has_the_payload_as_submitted_but_for_line_breaks() -> None:
    line = records.line(MESSAGE)

    assert line.endswith(b',"payload":{ "a": 1.0,   "b": "\\n" }}\n')
    assert line.count(b"\n") == 1
    assert json.loads(line)["id"] == "msg_1"


def test_a_payload_that_is_no_json_is_a_string() -> None:
    line = records.line(replace(MESSAGE, payload=b'<a b="c"/>\n', content_type="application/xml"))

    assert json.loads(line)["payload"] == '<a b="c"/>\n'


def test_headers_tell_of_what_the_message_has() -> None:
    told = records.headers(BATCH, MESSAGE)
    bare = records.headers(BATCH, replace(MESSAGE, channels=(), event_id=None, traceparent=None))

    assert told["relevo-application"] == "app_1"
    assert told["relevo-channels"] == "one,two"
    assert told["traceparent"] == TRACEPARENT
    assert told.keys() - bare.keys() == {"relevo-channels", "relevo-event-id", "traceparent"}


@pytest.mark.parametrize(
    ("payload", "path", "key"),
    [
        (b'{"id": "a"}', "id", "a"),
        (b'{"order": {"id": 7}}', "order.id", "7"),
        (b'{"id": true}', "id", "true"),
        (b'{"id": null}', "id", None),
        (b"[1]", "id", None),
        (b"no json", "id", None),
        (b'{"order": {"id": {"a": [1, 2.50]}}, "id": 1}', "order.id", '{"a":[1,2.5]}'),
        (b'{"id": [%s1]}' % (b"1, " * 30_000), "id", "[%s1]" % ("1, " * 30_000)),
        (b'{"filler": "%s", "id": "a"}' % (b"x" * 100_000), "id", "a"),
        (b'{"id": "a"}', None, None),
    ],
)
def test_a_key_is_a_field_of_the_payload(payload: bytes, path: str | None, key: str | None) -> None:
    assert records.key(replace(MESSAGE, payload=payload), path) == key
