"""Messages through the API: one arrives at once, one at its second attempt, one never, and one finds nobody there."""

from dataclasses import dataclass

from svix.api import ApplicationIn, EndpointIn, MessageAttemptOut, MessageIn, Svix, SvixOptions

from tests.stack.relevo import Relevo, eventually


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The ids of those that were delivered."""

    prompt: str
    retried: str


def told(relevo: Relevo, receiver: str) -> Story:
    """Send all, and wait until nothing more will come of them."""
    client = Svix(relevo.token, SvixOptions(server_url=relevo.url))
    # The SDK has no way of closing its connections.
    with client._httpx_client:
        prompt = _send(client, name="prompt", url=f"{receiver}/ok", attempts=1)
        retried = _send(client, name="retried", url=f"{receiver}/fail/1", attempts=2)
        _send(client, name="given up", url=f"{receiver}/status/500", attempts=4)
        _send(client, name="gone", url=f"{receiver}/gone", attempts=1)
    return Story(prompt=prompt, retried=retried)


def _send(client: Svix, *, name: str, url: str, attempts: int) -> str:
    app = client.application.create(ApplicationIn(name=name)).id
    client.endpoint.create(app, EndpointIn(url=url))
    message = client.message.create(app, MessageIn(event_type="order.paid", payload={"order": name})).id

    def made() -> list[MessageAttemptOut]:
        listed = client.message_attempt.list_by_msg(app, message).data
        return listed if len(listed) >= attempts else []

    eventually(made)
    return message
