"""How much of a batch was taken."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain.batches import Batch, BatchResult, StreamMessage, lane_of
from service.domain.ids import ApplicationId, DestinationId, MessageId
from service.domain.outcomes import Exchange, Taken
from service.domain.signatures import Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_batch(*, size: int) -> Batch:
    messages = (
        StreamMessage(position=n, id=MessageId(f"msg_{n}"), event_type="t", payload=b"{}", created_at=NOW)
        for n in range(1, size + 1)
    )
    return Batch(
        app_id=ApplicationId("app_1"),
        destination_id=DestinationId("dest_1"),
        messages=tuple(messages),
        headers={},
        secrets=(Secret(key=b"hush" * 6),),
    )


def test_a_whole_batch_is_all_of_its_messages() -> None:
    taken = Taken(exchange=Exchange(duration=timedelta()))

    assert BatchResult.whole(a_batch(size=3), taken) == BatchResult(taken=3, outcome=taken)


def test_a_batch_shows_no_secret() -> None:
    assert "hush" not in repr(a_batch(size=1))


@pytest.mark.parametrize(
    ("payload", "lane"),
    [
        (b'{"customer": {"id": 7}}', "7"),
        (b'{"customer": {"id": "7"}}', '"7"'),
        (b'{"customer": {"id": {"b": 1, "a": 2}}}', '{"a": 2, "b": 1}'),
        (b'{"customer": {"id": null}}', "null"),
        (b'{"customer": {}}', ""),
        (b'{"customer": [1]}', ""),
        (b"[]", ""),
        (b"no JSON", ""),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_a_message_has_the_lane_of_its_field(payload: bytes, lane: str) -> None:
    assert lane_of(payload, "customer.id") == lane
