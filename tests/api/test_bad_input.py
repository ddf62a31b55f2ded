"""Whatever is wrong with a request, it is told, and told as a 422: never a 500."""

from typing import Any

import pytest
from httpx import AsyncClient, Response

from service.application.exact_json import MAX_DIGITS

DEEP = b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
GOOD = {"eventType": "a.b", "payload": {}}

BROKEN_JSON = {
    "empty": b"",
    "cut short": b'{"name": "a"',
    "not utf-8": b'{"name": "\xff"}',
    "lone surrogate": b'{"name": "\\ud800", "payload": {"a": "\\ud800"}}',
    "not a number": b'{"name": NaN}',
    "nested too deep": DEEP,
    "a megabyte of brackets": b"[" * 1_000_000,
    "a list": b"[]",
    "a text": b'"a"',
    "null": b"null",
    "a raw control character": b'{"name": "a\x00"}',
}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app", "/event-type", "/app/u/endpoint", "/app/u/msg"])
async def test_what_is_not_the_json_of_an_object_is_a_fault(api: AsyncClient, path: str) -> None:
    for case, content in BROKEN_JSON.items():
        answer = await api.post(path, content=content, headers={"content-type": "application/json"})

        _is_fault(answer, case)


async def test_an_integer_has_a_limit_of_digits_where_its_value_is_read(api: AsyncClient) -> None:
    def event_type(digits: int) -> bytes:
        return b'{"name": "d%d", "description": "", "schemas": {"1": {"const": %s}}}' % (digits, b"9" * digits)

    taken = await api.post("/event-type", content=event_type(MAX_DIGITS))
    refused = await api.post("/event-type", content=event_type(MAX_DIGITS + 1))

    assert taken.status_code == 201
    _is_fault(refused, "more than are read")
    assert "an integer has more than 1,000 digits" in refused.json()["detail"][0]["msg"]


APPLICATIONS: list[dict[str, Any]] = [
    {},
    {"name": None},
    {"name": ""},
    {"name": 1},
    {"name": "a\x00b"},
    {"name": "a", "uid": ""},
    {"name": "a", "uid": "x" * 257},
    {"name": "a", "uid": "app_1"},
    {"name": "a", "uid": "with space"},
    {"name": "a", "uid": "line\n"},
    {"name": "a", "throttleRate": 0},
    {"name": "a", "rateLimit": 70_000},
    {"name": "a", "throttleRate": "7"},
    {"name": "a", "metadata": {"k": 1}},
    {"name": "a", "metadata": {"k": "x" * 4096}},
    {"name": "a", "metadata": {"k": "\x00"}},
    {"name": "a", "metadata": []},
]

ENDPOINTS: list[dict[str, Any]] = [
    {},
    {"url": None},
    {"url": "ftp://example.com"},
    {"url": "example.com"},
    {"url": "http://"},
    {"url": "http://example.com/" + "x" * 70_000},
    {"url": "http://example.com", "eventTypes": []},
    {"url": "http://example.com", "eventTypes": ["not.known"]},
    {"url": "http://example.com", "filterTypes": ["with space"]},
    {"url": "http://example.com", "channels": []},
    {"url": "http://example.com", "channels": ["x"] * 11},
    {"url": "http://example.com", "channels": ["a,b"]},
    {"url": "http://example.com", "secret": "whsec_short"},
    {"url": "http://example.com", "secret": "whsec_" + "!" * 40},
    {"url": "http://example.com", "uid": "ep_1"},
    {"url": "http://example.com", "version": 0},
    {"url": "http://example.com", "description": "\x00"},
    {"url": "http://example.com", "headers": {"svix-id": "1"}},
    {"url": "http://example.com", "headers": {"Webhook-Signature": "1"}},
    {"url": "http://example.com", "headers": {"a b": "1"}},
    {"url": "http://example.com", "headers": {"a": "1\r\nb: 2"}},
    {"url": "http://example.com", "headers": {"a": "x" * 4097}},
]

EVENT_TYPES: list[dict[str, Any]] = [
    {},
    {"name": "a"},
    {"name": "", "description": ""},
    {"name": "a b", "description": ""},
    {"name": "x" * 257, "description": ""},
    {"name": "a", "description": "\x00"},
    {"name": "a", "description": "", "schemas": []},
    {"name": "a", "description": "", "schemas": {"1": {"title": ["\x00"]}}},
]

MESSAGES: list[dict[str, Any]] = [
    {},
    {"eventType": "a.b"},
    {"payload": {}},
    GOOD | {"payload": []},
    GOOD | {"payload": None},
    GOOD | {"payload": "text"},
    GOOD | {"eventType": "x" * 257},
    GOOD | {"eventType": ""},
    GOOD | {"eventType": "a\x00"},
    GOOD | {"eventId": "msg_1"},
    GOOD | {"eventId": "x" * 10_000},
    GOOD | {"channels": []},
    GOOD | {"channels": ["a,b"]},
    GOOD | {"tags": ["x"] * 6},
    GOOD | {"deliverAt": "2000-01-01T00:00:00Z"},
    GOOD | {"deliverAt": "soon"},
    GOOD | {"payloadRetentionPeriod": 0},
    GOOD | {"payloadRetentionPeriod": 5, "payloadRetentionHours": 5},
]


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(
    ("path", "bodies"),
    [
        ("/app", APPLICATIONS),
        ("/app/u/endpoint", ENDPOINTS),
        ("/event-type", EVENT_TYPES),
        ("/app/u/msg", MESSAGES),
    ],
)
async def test_what_breaks_a_rule_is_a_fault(api: AsyncClient, path: str, bodies: list[dict[str, Any]]) -> None:
    for body in bodies:
        answer = await api.post(path, json=body)

        _is_fault(answer, str(body))


async def test_a_message_is_refused_for_what_cannot_be_an_application(api: AsyncClient) -> None:
    for app_id in ["x" * 10_000, "with space", "a%00b", "a%0A"]:
        answer = await api.post(f"/app/{app_id}/msg", json=GOOD)

        _is_fault(answer, app_id)


QUERIES = [
    "limit=0",
    "limit=251",
    "limit=99999999999999999999",
    "iterator=msg_",
    "iterator=msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "iterator=--msg_000000000000000000000000000",
    "iterator=app_000000000000000000000000000",
    "iterator=msg_00000000000000000000000000%00",
    "channel=%00",
    "tag=a%20b",
    "event_types=a,b%00",
]

UNREADABLE_QUERIES = [
    "limit=many",
    "before=yesterday",
    "with_content=perhaps",
]

UNUSUAL_QUERIES = [
    "before=0001-01-01T00:00:00%2B14:00",
    "after=9999-12-31T23:59:59-14:00",
    "before=2020-01-01T00:00:00",
    "unknown=1",
    "event_types=a,b",
    "event_types[]=a&event_types[1]=b",
    "iterator=",
]


async def test_a_list_must_be_asked_for_in_the_right_words(application: str, api: AsyncClient) -> None:
    for query in QUERIES:
        answer = await api.get(f"/app/{application}/msg?{query}")

        _is_fault(answer, query)


async def test_a_query_string_that_cannot_be_read_is_told_as_a_bad_request(application: str, api: AsyncClient) -> None:
    for query in UNREADABLE_QUERIES:
        answer = await api.get(f"/app/{application}/msg?{query}")

        assert (answer.status_code, answer.json()["code"]) == (400, "generic_error"), query
        assert answer.json()["detail"].startswith(query.partition("=")[0]), query


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "value_error.jsondecode"),
        (b"{}", "value_error.jsondecode"),
        (b'{"name": 1}', "value_error.jsondecode"),
        (b'{"name": "a", "throttleRate": "7"}', "value_error.jsondecode"),
        (b'{"name": ""}', "value_error"),
        (b'{"name": "a", "uid": "app_1"}', "value_error"),
    ],
)
async def test_a_fault_tells_what_could_not_be_read_from_what_breaks_a_rule(
    api: AsyncClient, body: bytes, kind: str
) -> None:
    answer = await api.post("/app", content=body)

    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, kind)


async def test_what_is_unusual_but_right_is_answered(application: str, api: AsyncClient) -> None:
    for query in UNUSUAL_QUERIES:
        answer = await api.get(f"/app/{application}/msg?{query}")

        assert answer.status_code == 200, query


def _is_fault(answer: Response, case: str) -> None:
    assert answer.status_code == 422, case
    faults = answer.json()["detail"]
    assert faults, case
    for fault in faults:
        assert fault.keys() == {"loc", "msg", "type"}, case
        assert fault["loc"][0] in {"body", "path", "query"}, case
