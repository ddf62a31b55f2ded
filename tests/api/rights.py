"""Who may do what, as it is promised: for each operation the least role of an organisation's token, and which
capabilities open it to an application's token, one alone being enough.

`None` is for nobody. Of this table everything about rights is expected, so that an operation without a row fails.
"""

from typing import Literal

from service.application.access import EVERY_CAPABILITY, Capability

Role = Literal["reader", "writer", "admin"]
Opened = frozenset[Capability] | None

VIEW = frozenset[Capability](EVERY_CAPABILITY)  # ViewBase is a part of every token
SEE_SECRET = frozenset[Capability]({"ViewEndpointSecret", "ManageEndpointSecret", "ManageEndpoint"})
REPLACE_SECRET = frozenset[Capability]({"ManageEndpointSecret", "ManageEndpoint"})
MANAGE = frozenset[Capability]({"ManageEndpoint"})
ATTEMPT = frozenset[Capability]({"CreateAttempts"})

RIGHTS: dict[str, tuple[Role | None, Opened]] = {
    "v1.application.create": ("writer", None),
    "v1.application.delete": ("admin", None),
    "v1.application.get": ("reader", VIEW),
    "v1.application.list": ("reader", None),
    "v1.application.patch": ("writer", None),
    "v1.application.upsert": ("writer", None),
    "v1.audit.list": ("admin", None),
    "v1.authentication.app-portal-access": ("admin", None),
    "v1.authentication.dashboard-access": ("admin", None),
    "v1.authentication.expire-all": ("admin", None),
    "v1.authentication.logout": (None, VIEW),
    "v1.authentication.refresh": (None, VIEW),
    "v1.authentication.token.create": ("admin", None),
    "v1.authentication.token.get": ("admin", None),
    "v1.authentication.token.list": ("admin", None),
    "v1.authentication.token.revoke": ("admin", None),
    "v1.background-task.cancel": ("writer", None),
    "v1.background-task.get": ("reader", VIEW),
    "v1.background-task.list": ("reader", VIEW),
    "v1.destination.create": ("writer", MANAGE),
    "v1.destination.delete": ("writer", MANAGE),
    "v1.destination.get": ("reader", VIEW),
    "v1.destination.get-secret": ("writer", SEE_SECRET),
    "v1.destination.list": ("reader", VIEW),
    "v1.destination.patch": ("writer", MANAGE),
    "v1.destination.rotate-secret": ("writer", REPLACE_SECRET),
    "v1.destination.upsert": ("writer", MANAGE),
    "v1.endpoint.bulk-replay": ("writer", ATTEMPT),
    "v1.endpoint.create": ("writer", MANAGE),
    "v1.endpoint.delete": ("writer", MANAGE),
    "v1.endpoint.delete-old-secrets": ("writer", REPLACE_SECRET),
    "v1.endpoint.get": ("reader", VIEW),
    "v1.endpoint.get-attempt-stats": ("reader", VIEW),
    "v1.endpoint.get-headers": ("reader", VIEW),
    "v1.endpoint.get-secret": ("writer", SEE_SECRET),
    "v1.endpoint.get-stats": ("reader", VIEW),
    "v1.endpoint.list": ("reader", VIEW),
    "v1.endpoint.patch": ("writer", MANAGE),
    "v1.endpoint.patch-headers": ("writer", MANAGE),
    "v1.endpoint.recover": ("writer", ATTEMPT),
    "v1.endpoint.replay-missing": ("writer", ATTEMPT),
    "v1.endpoint.rotate-secret": ("writer", REPLACE_SECRET),
    "v1.endpoint.send-example": ("writer", ATTEMPT),
    "v1.endpoint.set-headers": ("writer", MANAGE),
    "v1.endpoint.upsert": ("writer", MANAGE),
    "v1.environment.export": ("reader", None),
    "v1.environment.import": ("writer", None),
    "v1.event-type.create": ("writer", None),
    "v1.event-type.delete": ("writer", None),
    "v1.event-type.get": ("reader", VIEW),
    "v1.event-type.import-openapi": ("writer", None),
    "v1.event-type.list": ("reader", VIEW),
    "v1.event-type.patch": ("writer", None),
    "v1.event-type.upsert": ("writer", None),
    "v1.message-attempt.expunge-content": ("writer", None),
    "v1.message-attempt.get": ("reader", VIEW),
    "v1.message-attempt.list-attempted-destinations": ("reader", VIEW),
    "v1.message-attempt.list-attempted-messages": ("reader", VIEW),
    "v1.message-attempt.list-by-endpoint": ("reader", VIEW),
    "v1.message-attempt.list-by-msg": ("reader", VIEW),
    "v1.message-attempt.resend": ("writer", ATTEMPT),
    "v1.message-attempt.tail": ("reader", VIEW),
    "v1.message.bulk-expunge-content": ("writer", None),
    "v1.message.create": ("writer", None),
    "v1.message.export": ("reader", VIEW),
    "v1.message.expunge-all-contents": ("writer", None),
    "v1.message.expunge-content": ("writer", None),
    "v1.message.get": ("reader", VIEW),
    "v1.message.import": ("writer", None),
    "v1.message.import-faults": ("reader", None),
    "v1.message.import-get": ("reader", None),
    "v1.message.import-list": ("reader", None),
    "v1.message.list": ("reader", VIEW),
    "v1.message.poller.consumer-poll": ("writer", ATTEMPT),
    "v1.message.poller.consumer-seek": ("writer", ATTEMPT),
    "v1.message.poller.poll": ("reader", VIEW),
    "v1.message.precheck": ("writer", None),
    "v1.operational-webhook.endpoint.create": ("writer", None),
    "v1.operational-webhook.endpoint.delete": ("writer", None),
    "v1.operational-webhook.endpoint.delete-old-secrets": ("writer", None),
    "v1.operational-webhook.endpoint.get": ("reader", None),
    "v1.operational-webhook.endpoint.get-headers": ("reader", None),
    "v1.operational-webhook.endpoint.get-secret": ("writer", None),
    "v1.operational-webhook.endpoint.list": ("reader", None),
    "v1.operational-webhook.endpoint.rotate-secret": ("writer", None),
    "v1.operational-webhook.endpoint.set-headers": ("writer", None),
    "v1.operational-webhook.endpoint.upsert": ("writer", None),
    "v1.source.create": ("admin", None),
    "v1.source.delete": ("admin", None),
    "v1.source.faults": ("reader", None),
    "v1.source.get": ("reader", None),
    "v1.source.list": ("reader", None),
    "v1.source.patch": ("admin", None),
    "v1.statistics.aggregate-app-stats": ("writer", None),
    "v1.statistics.aggregate-event-types": ("writer", None),
    "v1.statistics.failing-endpoints": ("reader", None),
}


def roles_let_in(operation: str) -> set[str]:
    """The roles of an organisation's tokens that may ask for it."""
    least, _ = RIGHTS[operation]
    order: list[Role] = ["reader", "writer", "admin"]
    return set() if least is None else set(order[order.index(least) :])


def is_let_in(operation: str, capabilities: frozenset[Capability]) -> bool:
    """Whether an application's token with these capabilities may ask for it."""
    _, opened = RIGHTS[operation]
    return opened is not None and not capabilities.isdisjoint(opened)
