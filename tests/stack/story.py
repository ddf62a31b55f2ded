"""Messages through the API: one arrives at once, one at its second attempt, one is sent again by hand and one more
comes in a file, one never arrives, one waits in vain for an answer, and one finds nobody there. Some go to ordered
destinations, one of which wants no more, and one comes from a broker."""

import asyncio
from dataclasses import dataclass

import httpx
import nats
from nats.js.api import StreamConfig
from svix.api import ApplicationIn, DestinationIn, EndpointIn, MessageAttemptOut, MessageIn, Svix, SvixOptions

from deploy.brokers import kinds
from deploy.brokers.processes import Broker
from tests.stack.relevo import Relevo, eventually

# As many as by default, sooner.
ATTEMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The ids of those that were delivered, and of the one that was not."""

    prompt: str
    retried: str
    resent: str
    given_up: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    app: str
    endpoint: str
    message: str


def told(relevo: Relevo, receiver: str, broker: Broker) -> Story:
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
        given_up = _send(client, name="given up", url=f"{receiver}/status/500", attempts=ATTEMPTS)
        _send(client, name="too slow", url=f"{receiver}/silence", attempts=1)
        _send(client, name="gone", url=f"{receiver}/gone", attempts=1)
        _send_in_order(client, receiver)
        _take_from(broker, relevo)
    return Story(prompt=prompt.message, retried=retried.message, resent=resent.message, given_up=given_up.message)


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


def _send_in_order(client: Svix, receiver: str) -> None:
    """To one destination that takes it, and to one that is disabled since it wants no more."""
    app = client.application.create(ApplicationIn(name="in order", uid="in-order")).id
    taken, gone = (
        client.destination.create(app, DestinationIn(type="fifoEndpoint", config={"url": f"{receiver}{path}"})).id
        for path in ("/ok", "/gone")
    )
    start = client.destination.get(app, taken).current_iterator
    client.message.create(app, MessageIn(event_type="order.paid", payload={"order": "in order"}))
    eventually(lambda: client.destination.get(app, taken).current_iterator != start)
    eventually(lambda: client.destination.get(app, gone).status == "disabled")


def _take_from(broker: Broker, relevo: Relevo) -> None:
    """A message comes from a stream of the broker."""
    server = f"nats://127.0.0.1:{broker.port}"
    login = {"user": kinds.USER, "password": kinds.PASSWORD}
    asyncio.run(_publish(server, login))
    origin = {"servers": [server], "stream": "STORY", "username": kinds.USER, "password": kinds.PASSWORD}
    authorization = {"authorization": f"Bearer {relevo.token}"}
    httpx.post(
        f"{relevo.url}/api/v1/source",
        json={"name": "the story's", "nats": origin, "application": "in-order", "eventType": "order.paid"},
        headers=authorization,
        trust_env=False,
    ).raise_for_status()
    messages = f"{relevo.url}/api/v1/app/in-order/msg"
    eventually(lambda: len(httpx.get(messages, headers=authorization, trust_env=False).json()["data"]) > 1)


async def _publish(server: str, login: dict[str, str]) -> None:
    client = await nats.connect(server, **login)
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name="STORY", subjects=["story"]))
    await stream.publish("story", b'{"order": "from a broker"}')
    await client.close()


def _import_into(relevo: Relevo, app: str) -> None:
    file = b'{"eventType": "order.paid", "payload": {"order": "imported"}}\n'
    httpx.post(
        f"{relevo.url}/api/v1/app/{app}/msg/import",
        content=file,
        headers={"authorization": f"Bearer {relevo.token}"},
        trust_env=False,
    ).raise_for_status()
