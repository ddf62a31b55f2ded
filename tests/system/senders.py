"""Customers of Relevo: clients of the official SDK that do not give up, and an account of what they were promised."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
from svix.api import (
    ApplicationIn,
    EndpointIn,
    EventTypeIn,
    MessageCreateOptions,
    MessageIn,
    SvixAsync,
    SvixOptions,
)
from svix.exceptions import HttpError

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens
from tests.support.patience import patient

EVENT_TYPE = "order.paid"
AGAIN_AFTER = 0.1  # seconds


@dataclass(slots=True, kw_only=True)
class Promises:
    """The messages that were answered 202, by event id. `progress` is notified at each."""

    accepted: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def keep(self, event_id: str, message_id: str) -> None:
        """Note a 202."""
        self.accepted[event_id] = message_id
        async with self.progress:
            self.progress.notify_all()

    async def reach(self, count: int) -> None:
        """Wait until so many were accepted."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.accepted) >= count)


@asynccontextmanager
async def opened(url: str, token: str) -> AsyncIterator[SvixAsync]:
    """A client of the SDK, closed at the end."""
    sdk = SvixAsync(token, SvixOptions(server_url=url, timeout=patient(15)))
    try:
        yield sdk
    finally:
        await sdk._httpx_client.aclose()  # the SDK has no way of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody whose application has one endpoint."""

    url: str
    token: str
    app_id: str
    secret: str


async def prepare(environ: Mapping[str, str], receiver_url: str, *, token_age: timedelta = timedelta()) -> Customer:
    """A customer of the server that runs with these settings, whose endpoint is at `receiver_url`, and whose token was
    made so long ago."""
    url = f"http://127.0.0.1:{environ['RELEVO_PORT']}"
    token = Tokens(environ["RELEVO_JWT_SECRET"]).mint(DEFAULT_ORGANISATION, now=datetime.now(UTC) - token_age)
    async with opened(url, token) as sdk:
        await sdk.event_type.create(EventTypeIn(name=EVENT_TYPE, description="An order was paid."))
        return await _made(sdk, url, token, receiver_url)


async def new_customer(url: str, token: str, receiver_url: str) -> Customer:
    """One more customer of a server, whose endpoint is at `receiver_url`."""
    async with opened(url, token) as sdk:
        return await _made(sdk, url, token, receiver_url)


async def _made(sdk: SvixAsync, url: str, token: str, receiver_url: str) -> Customer:
    application = await sdk.application.create(ApplicationIn(name="A customer"))
    endpoint = await sdk.endpoint.create(application.id, EndpointIn(url=receiver_url))
    secret = await sdk.endpoint.get_secret(application.id, endpoint.id)
    return Customer(url=url, token=token, app_id=application.id, secret=secret.key)


async def send_all(customer: Customer, *, count: int, clients: int, promises: Promises) -> None:
    """Send `count` messages from so many clients at once, each until it is accepted."""
    numbers = iter(range(count))

    async def client(sdk: SvixAsync) -> None:
        for number in numbers:
            await send(sdk, customer.app_id, number, promises)

    # They share what holds their connections: the SDK reads all authorities for each.
    async with opened(customer.url, customer.token) as sdk, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(sdk))


async def send(sdk: SvixAsync, app_id: str, number: int, promises: Promises) -> None:
    """Send message `number`, again and again until it is accepted."""
    event_id = f"order-{number}"
    message = MessageIn(event_type=EVENT_TYPE, event_id=event_id, payload={"order": number})
    options = MessageCreateOptions(idempotency_key=f"key-{number}")
    while True:
        try:
            accepted = await sdk.message.create(app_id, message, options)
        except (httpx.TransportError, HttpError) as refusal:
            if not _may_pass(refusal):
                raise
            promises.refused += 1
            await asyncio.sleep(AGAIN_AFTER)
        else:
            return await promises.keep(event_id, accepted.id)


def _may_pass(refusal: httpx.TransportError | HttpError) -> bool:
    if isinstance(refusal, HttpError):
        return refusal.status_code >= 500 or refusal.code == "idempotency_conflict"
    return True
