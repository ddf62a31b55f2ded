"""An example goes through the same guard as any delivery: it is no way into the operator's network."""

from service.observability.telemetry import open_telemetry
from tests.observability.whole import running_whole
from tests.support.receiver import running_receiver


async def test_an_example_calls_nothing_that_a_delivery_may_not(database: str) -> None:
    async with (
        running_receiver() as receiver,
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        running_whole(telemetry, database=database, RELEVO_EGRESS_ALLOW="") as whole,
    ):
        app_id = await whole.application("a")
        named = receiver.url.replace("127.0.0.1", "localhost")
        endpoint = await whole.made(f"/app/{app_id}/endpoint", {"url": f"{named}/inner"})

        answer = await whole.made(f"/app/{app_id}/endpoint/{endpoint['id']}/send-example", {"eventType": "svix.ping"})

    attempt = answer["attempt"]
    assert isinstance(attempt, dict)
    assert (attempt["responseStatusCode"], attempt["status"]) == (0, 2)
    assert receiver.calls == []
