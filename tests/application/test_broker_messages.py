"""What a broker's message says: what the source fixes, then its headers, then its envelope."""

from typing import Any

import pytest

from service.application.broker_messages import submission_of
from service.domain.broker_messages import BrokerMessage
from service.domain.errors import Invalid
from service.domain.messages import Submission
from service.domain.sources import SourceKind
from tests.domain.test_sources import a_source
from tests.support.factories import ORG

HEADERS = {"relevo-application": "shop", "relevo-event-type": "invoice.paid"}
PAYLOAD = b'{ "id" : 1.0 }'
ENVELOPE = b'{"application": "shop", "eventType": "invoice.paid", "payload": ' + PAYLOAD + b"}"


def a_message(body: bytes, headers: dict[str, str] | None = None, **changed: Any) -> BrokerMessage:
    values: dict[str, Any] = {"position": "events-0-1", "event_id": "made", "receipt": None}
    return BrokerMessage(body=body, headers=headers or {}, **values | changed)


def said(**changed: Any) -> Submission:
    values: dict[str, Any] = {"app": "shop", "event_type": "invoice.paid", "payload": PAYLOAD, "event_id": "made"}
    return Submission(org_id=ORG, **values | changed)


FIXED = {"application": "fixed", "event_type": "fixed"}


@pytest.mark.parametrize(
    ("fixed", "headers", "body", "submission"),
    [
        ({}, HEADERS, PAYLOAD, said()),
        ({}, HEADERS | {"relevo-event-id": "own"}, PAYLOAD, said(event_id="own")),
        (
            {},
            HEADERS | {"relevo-channels": "a, b", "relevo-tags": "t"},
            PAYLOAD,
            said(channels=("a", "b"), tags=("t",)),
        ),
        ({}, HEADERS, ENVELOPE, said(payload=ENVELOPE)),
        ({}, HEADERS, b"no JSON", said(payload=b"no JSON")),
        ({}, None, ENVELOPE, said()),
        ({}, {"relevo-application": "other"}, ENVELOPE, said(app="other")),
        (
            {},
            None,
            ENVELOPE[:-1] + b', "eventId": "own", "channels": ["a"], "tags": ["t"], "unknown": 1}',
            said(event_id="own", channels=("a",), tags=("t",)),
        ),
        ({}, None, ENVELOPE[:-1] + b', "eventId": null, "channels": null, "tags": []}', said()),
        ({}, None, b'{"application": "shop", "eventType": "invoice.paid"}', said(payload=b"")),
        ({"application": "fixed"}, None, ENVELOPE, said(app="fixed")),
        ({"application": "fixed"}, HEADERS, PAYLOAD, said(app="fixed")),
        (FIXED, HEADERS, PAYLOAD, said(app="fixed", event_type="fixed")),
        (FIXED, None, PAYLOAD, said(app="fixed", event_type="fixed")),
    ],
)
def test_what_a_message_says(
    fixed: dict[str, str], headers: dict[str, str] | None, body: bytes, submission: Submission
) -> None:
    assert submission_of(a_source(SourceKind.NATS, **fixed), a_message(body, headers)) == submission


@pytest.mark.parametrize(
    ("headers", "body", "field"),
    [
        ({"relevo-event-type": "invoice.paid"}, PAYLOAD, ("application",)),
        (None, b'{"eventType": "invoice.paid", "payload": {}}', ("application",)),
        (None, b'{"application": "shop", "payload": {}}', ("event_type",)),
        (None, b'{"application": 1, "eventType": "invoice.paid"}', ("application",)),
        (None, ENVELOPE[:-1] + b', "tags": "t"}', ("tags",)),
        (None, b"no JSON", ()),
        (None, b"[1]", ()),
        (None, b"\xff", ()),
        (None, b"[" * 100_000, ()),
    ],
)
def test_what_no_message_is(headers: dict[str, str] | None, body: bytes, field: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        submission_of(a_source(), a_message(body, headers))

    assert refused.value.field == field
