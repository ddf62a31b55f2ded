"""Messages through the API: one arrives at once, one at its second attempt, one is sent again by hand and one more
comes in a file, one never arrives, one waits in vain for an answer, and one finds nobody there."""

from dataclasses import dataclass

import httpx
from svix.api import ApplicationIn, EndpointIn, MessageAttemptOut, MessageIn, Svix, SvixOptions

from tests.stack.relevo import Relevo, eventually

# As many as by default, sooner.
ATTEMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The ids of those that were delivered."""

    prompt: str
    retried: str
    resent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    app: str
    endpoint: str
    message: str


def told(relevo: Relevo, receiver: str) -> Story:
    """Send all, and wait until nothing more will come of them."""
    client = Svix(relevo.token, SvixOptions(server_url=relevo.url))
    # The SDK has no way of closing its connections.
    with client._httpx_client:
        prompt = _send(client, name="prompt", url=f"{receiver}/ok", attempts=1)
        retried = _send(client, name="retried", url=f"{receiver}/fail/1", attempts=2)
        resent = _send(client, name="resent", url=f"{receiver}/ok", attempts=1)
        client.message_attempt.resend(resent.app, resent.message, resent.endpoint)
        _until_tried(client, resent, attempts=2)
        _import_into(relevo, resent.app)
        _send(client, name="given up", url=f"{receiver}/status/500", attempts=ATTEMPTS)
        _send(client, name="too slow", url=f"{receiver}/silence", attempts=1)
        _send(client, name="gone", url=f"{receiver}/gone", attempts=1)
    return Story(prompt=prompt.message, retried=retried.message, resent=resent.message)


def _send(client: Svix, *, name: str, url: str, attempts: int) -> _Sent:
    app = client.application.create(ApplicationIn(name=name)).id
    endpoint = client.endpoint.create(app, EndpointIn(url=url)).id
    message = client.message.create(app, MessageIn(event_type="order.paid", payload={"order": name})).id
    sent = _Sent(app=app, endpoint=endpoint, message=message)
    _until_tried(client, sent, attempts=attempts)
    return sent


def _until_tried(client: Svix, sent: _Sent, *, attempts: int) -> None:
    def made() -> list[MessageAttemptOut]:
        listed = client.message_attempt.list_by_msg(sent.app, sent.message).data
        return listed if len(listed) >= attempts else []

    eventually(made)


def _import_into(relevo: Relevo, app: str) -> None:
    file = b'{"eventType": "order.paid", "payload": {"order": "imported"}}\n'
    httpx.post(
        f"{relevo.url}/api/v1/app/{app}/msg/import",
        content=file,
        headers={"authorization": f"Bearer {relevo.token}"},
        trust_env=False,
    ).raise_for_status()
