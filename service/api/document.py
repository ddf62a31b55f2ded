"""The OpenAPI document's general text and its operational webhooks."""

from typing import Any, get_args

from fastapi import APIRouter
from pydantic import BaseModel

from service.api.protocol.ignored import MAX_REPORTED_NAMES
from service.api.protocol.patience import MAX_MESSAGE_BYTES, PONG_TIMEOUT_S
from service.api.schemas.operational_events import AttemptEventOut, EndpointEventOut
from service.domain.health import DISABLE_AFTER
from service.domain.idempotency import KEYS_KEPT
from service.domain.limits import DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS
from service.domain.operational_webhooks import FAILING_ATTEMPT, AttemptEvent, EndpointEvent


def servers(prefix: str) -> list[dict[str, Any]]:
    """Where the operations are, for a server that is reached below that path."""
    return [{"url": f"{prefix}/", "description": "The server that this document came from."}]


_HOURS = int(KEYS_KEPT.total_seconds() / 3600)

ABOUT = f"""
Relevo delivers webhooks: send an event once, and it is kept, signed, sent to every endpoint that wants it, and tried
again for a day.

## Authentication

Every request but those for health carries a token: `Authorization: Bearer <token>`. `relevo token` prints one of an
organisation; `auth/app-portal-access` gives one of a single application, which sees and changes that application alone.
401 means that there is no token or that it does not hold, 403 that it does not allow the operation. What belongs to
somebody else is answered as what is not there: 404.

## Lists

A list answers at most `limit` items, {DEFAULT_PAGE_ITEMS} by default and {MAX_PAGE_ITEMS} at most, with `iterator`,
`prevIterator` and `done`. Send `iterator` to read on and `prevIterator` to read back; `done` tells that nothing more
lies in the direction that was read. Take iterators as they are: they are not made to be understood.

## Sending again: idempotency

Every POST may carry an `Idempotency-Key`. For {_HOURS} hours the same request under the same key is answered as the
first time, and nothing is done twice; another body under that key is 422, and 409 means that the first request is still
running. A key counts for its caller, method and path alone.

## Errors

Every error is JSON. 422 has a list in `detail`, with the path to each value that is wrong and what would be right; all
others have a `code` for programs and a `detail` for people. 429 and 503 say in `Retry-After` after how many seconds to
try again; nothing was kept then. 501 with `not_implemented` names an operation of the SDK that Relevo does not have.

## Live, over a WebSocket

`/api/v1/app/{{app_id}}/attempt/tail/ws` tells the same as the event stream of `attempt/tail`, by the same filters.
Every message is JSON: first `{{"type": "ready", "data": {{}}}}`, then `attempt` with a `MessageAttemptOut` as its data,
and `gap` with `{{"missed": 3}}` where some could not be told, null when nobody knows how many.

The token comes in the header `Authorization`; or as the subprotocol `relevo.bearer.<token>`, offered beside
`relevo.v1`, which is chosen; or within 5 seconds as the first message, `{{"token": "..."}}`. It never comes in the URL.
What is refused before the handshake is answered as any request is; later it is closed with 4000 and that status: 4401
when the token no longer holds. 1001 means that the server leaves, 1013 that too many are open or that the client read
too slowly: connect again after a while. Answer pings within {PONG_TIMEOUT_S:.0f} seconds; a client's message has
{MAX_MESSAGE_BYTES} bytes at most.

## What every answer carries

`X-Request-ID`: your own, if you sent one, or a new one; it is on every line of the log. `Relevo-Ignored`: the fields
and parameters of the request that nobody reads, {MAX_REPORTED_NAMES} at most, so that a slip is seen.
""".strip()

_TAGS = {
    "Application": "Applications: your customers, each with endpoints and messages of its own.",
    "Audit": "Who did what: what decides over access, and what changes where data goes.",
    "Authentication": "Tokens for applications: given, renewed, ended.",
    "Background Task": "Work that goes on after its request, and survives a restart.",
    "Destination": "Ordered destinations: where an application's messages go one after another, in batches.",
    "Endpoint": "Endpoints: where an application's messages are sent, signed with a secret of each.",
    "Environment": "An organisation's setup as one document.",
    "Event Type": "Event types: what messages can be about, with schemas of their payloads.",
    "Health": "Whether somebody answers.",
    "Message": "Messages: sent, read, imported, exported, removed.",
    "Message Attempt": "Attempts and deliveries: what became of messages.",
    "Operational Webhook Endpoint": "Endpoints of your own, which are told what becomes of your customers'.",
    "Poller": "Polled destinations: messages in order, fetched by whoever they are for.",
    "Source": "Sources: brokers that messages come in from.",
    "Statistics": "Counts of attempts, and of what endpoints want.",
}
TAGS: list[dict[str, Any]] = [{"name": name, "description": about} for name, about in _TAGS.items()]

_EVENTS: dict[EndpointEvent | AttemptEvent, str] = {
    "endpoint.created": "An endpoint of an application was created.",
    "endpoint.updated": "An endpoint was changed: what it wants, its headers or its secret.",
    "endpoint.deleted": "An endpoint was deleted. What it was still owed is not sent.",
    "endpoint.disabled": (
        f"Relevo disabled an endpoint: it answered 410, or nothing but failures for {DISABLE_AFTER.days} days."
    ),
    "message.attempt.failing": f"A delivery failed {FAILING_ATTEMPT} times; it is still tried.",
    "message.attempt.exhausted": "A delivery was given up after the last attempt of its schedule.",
    "message.attempt.recovered": f"A delivery succeeded after more than {FAILING_ATTEMPT - 1} failures.",
}


def webhooks() -> APIRouter:
    """The operational webhooks, for the document's section `webhooks`."""
    router = APIRouter(tags=["Operational Webhook Endpoint"])
    for event, about in _EVENTS.items():
        _add(router, event, about, EndpointEventOut if event in get_args(EndpointEvent) else AttemptEventOut)
    return router


def _add(router: APIRouter, event: str, about: str, model: type[BaseModel]) -> None:
    async def told(body: Any) -> None:
        """Never called: a receiver of the caller's own is."""

    told.__annotations__["body"] = model
    router.add_api_route(
        event,
        told,
        methods=["POST"],
        name=event,
        operation_id=f"webhook.{event}",
        description=f"{about} Signed as every webhook is; taken when it is answered with a 2xx.",
        response_description="The event was taken.",
        responses={"default": {"description": "Anything else: it is sent again later."}},
    )
