"""An organisation is told of its customers' endpoints by webhooks that the official SDK verifies."""

import json
from pathlib import Path
from typing import Any

import pytest
from svix.api import EndpointIn, MessageIn, OperationalWebhookEndpointIn
from svix.webhooks import Webhook

from tests.support.patience import patient
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Call, Receiver
from tests.system import senders

LISTENING = "/ok/operations"
WITHIN = patient(30)  # seconds

pytestmark = pytest.mark.timeout(120)


async def test_an_endpoint_that_answered_410_and_one_that_only_fails_are_told_to_be_disabled(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_DISABLE_AFTER="0.5")
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/gone")
        app_id = customer.app_id
        async with senders.opened(customer.url, customer.token) as sdk:
            failing = await sdk.endpoint.create(app_id, EndpointIn(url=f"{receiver.url}/status/500"))
            operational = sdk.operational_webhook.endpoint
            listener = await operational.create(OperationalWebhookEndpointIn(url=f"{receiver.url}{LISTENING}"))
            secret = await operational.get_secret(listener.id)
            await sdk.message.create(app_id, MessageIn(event_type=senders.EVENT_TYPE, payload={"order": 1}))
            calls = await receiver.wait_for(3, LISTENING, within=WITHIN)
            endpoints = (await sdk.endpoint.list(app_id)).data

    told = [verified(call, secret.key) for call in calls]
    (gone,) = {endpoint.id for endpoint in endpoints} - {failing.id}
    assert {(event["type"], event["data"]["endpointId"]) for event in told} == {
        ("message.attempt.exhausted", gone),
        ("endpoint.disabled", gone),
        ("endpoint.disabled", failing.id),
    }
    assert {event["data"]["appId"] for event in told} == {app_id}
    assert [endpoint.disabled for endpoint in endpoints] == [True, True]


def verified(call: Call, secret: str) -> dict[str, Any]:
    """What a customer of the SDK reads. WebhookVerificationError when it is not Relevo's."""
    Webhook(secret).verify(call.body, {name.lower(): value for name, value in call.headers})
    event: dict[str, Any] = json.loads(call.body)
    return event
