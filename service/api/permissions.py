"""Permissions by operation id: the role that an organisation's token needs, and the capabilities that an application's
token needs.

An operation without a row needs the role admin, so a new one is closed to everybody else until it has a row.
"""

from dataclasses import dataclass

from service.application.access import Caller, Capability
from service.domain.errors import NotAllowed
from service.domain.tokens import Role


@dataclass(frozen=True, slots=True)
class Needs:
    """`role` is the lowest role of an organisation's token that is allowed, None if none is; `capabilities` are those
    that an application's token needs, None if such tokens are never allowed."""

    role: Role | None
    capabilities: frozenset[Capability] | None = None


def _capable(role: Role, *capabilities: Capability) -> Needs:
    return Needs(role, frozenset(capabilities))


_READ = Needs("reader")
_WRITE = Needs("writer")
# Creating tokens needs more than writer, since a token gives its holder its rights.
_ADMINISTER = Needs("admin")
_VIEW = _capable("reader", "ViewBase")
# Reading a secret needs more than reader, since the secret lets one sign in our name.
_VIEW_SECRET = _capable("writer", "ViewEndpointSecret")
_MANAGE_ENDPOINT = _capable("writer", "ManageEndpoint")
_ATTEMPT = _capable("writer", "CreateAttempts")
_FOR_ITSELF = Needs(None, frozenset())

NEEDS: dict[str, Needs] = {
    "v1.application.create": _WRITE,
    "v1.application.delete": _ADMINISTER,
    "v1.application.get": _VIEW,
    "v1.application.list": _READ,
    "v1.application.patch": _WRITE,
    "v1.application.upsert": _WRITE,
    "v1.audit.list": _ADMINISTER,
    "v1.authentication.app-portal-access": _ADMINISTER,
    "v1.authentication.dashboard-access": _ADMINISTER,
    "v1.authentication.expire-all": _ADMINISTER,
    "v1.authentication.logout": _FOR_ITSELF,
    "v1.authentication.refresh": _FOR_ITSELF,
    "v1.authentication.token.create": _ADMINISTER,
    "v1.authentication.token.get": _ADMINISTER,
    "v1.authentication.token.list": _ADMINISTER,
    "v1.authentication.token.revoke": _ADMINISTER,
    "v1.background-task.cancel": _WRITE,
    "v1.background-task.get": _VIEW,
    "v1.background-task.list": _VIEW,
    "v1.destination.create": _MANAGE_ENDPOINT,
    "v1.destination.delete": _MANAGE_ENDPOINT,
    "v1.destination.get": _VIEW,
    "v1.destination.get-secret": _VIEW_SECRET,
    "v1.destination.list": _VIEW,
    "v1.destination.patch": _MANAGE_ENDPOINT,
    "v1.destination.rotate-secret": _capable("writer", "ManageEndpointSecret"),
    "v1.destination.upsert": _MANAGE_ENDPOINT,
    "v1.endpoint.bulk-replay": _ATTEMPT,
    "v1.endpoint.create": _MANAGE_ENDPOINT,
    "v1.endpoint.delete": _MANAGE_ENDPOINT,
    "v1.endpoint.delete-old-secrets": _capable("writer", "ManageEndpointSecret"),
    "v1.endpoint.get": _VIEW,
    "v1.endpoint.get-attempt-stats": _VIEW,
    "v1.endpoint.get-headers": _VIEW,
    "v1.endpoint.get-secret": _VIEW_SECRET,
    "v1.endpoint.get-stats": _VIEW,
    "v1.endpoint.list": _VIEW,
    "v1.endpoint.patch": _MANAGE_ENDPOINT,
    "v1.endpoint.patch-headers": _MANAGE_ENDPOINT,
    "v1.endpoint.recover": _ATTEMPT,
    "v1.endpoint.replay-missing": _ATTEMPT,
    "v1.endpoint.rotate-secret": _capable("writer", "ManageEndpointSecret"),
    "v1.endpoint.send-example": _ATTEMPT,
    "v1.endpoint.set-headers": _MANAGE_ENDPOINT,
    "v1.endpoint.upsert": _MANAGE_ENDPOINT,
    "v1.environment.export": _READ,
    "v1.environment.import": _WRITE,
    "v1.event-type.create": _WRITE,
    "v1.event-type.delete": _WRITE,
    "v1.event-type.get": _VIEW,
    "v1.event-type.import-openapi": _WRITE,
    "v1.event-type.list": _VIEW,
    "v1.event-type.patch": _WRITE,
    "v1.event-type.upsert": _WRITE,
    "v1.message-attempt.expunge-content": _WRITE,
    "v1.message-attempt.get": _VIEW,
    "v1.message-attempt.list-attempted-destinations": _VIEW,
    "v1.message-attempt.list-attempted-messages": _VIEW,
    "v1.message-attempt.list-by-endpoint": _VIEW,
    "v1.message-attempt.list-by-msg": _VIEW,
    "v1.message-attempt.resend": _ATTEMPT,
    "v1.message-attempt.tail": _VIEW,
    "v1.message.bulk-expunge-content": _WRITE,
    "v1.message.create": _WRITE,
    "v1.message.export": _VIEW,
    "v1.message.expunge-all-contents": _WRITE,
    "v1.message.expunge-content": _WRITE,
    "v1.message.get": _VIEW,
    "v1.message.import": _WRITE,
    "v1.message.import-faults": _READ,
    "v1.message.import-get": _READ,
    "v1.message.import-list": _READ,
    "v1.message.list": _VIEW,
    # A consumer's poll and seek change what it is sent next.
    "v1.message.poller.consumer-poll": _ATTEMPT,
    "v1.message.poller.consumer-seek": _ATTEMPT,
    "v1.message.poller.poll": _VIEW,
    "v1.message.precheck": _WRITE,
    "v1.operational-webhook.endpoint.create": _WRITE,
    "v1.operational-webhook.endpoint.delete": _WRITE,
    "v1.operational-webhook.endpoint.delete-old-secrets": _WRITE,
    "v1.operational-webhook.endpoint.get": _READ,
    "v1.operational-webhook.endpoint.get-headers": _READ,
    "v1.operational-webhook.endpoint.get-secret": _WRITE,
    "v1.operational-webhook.endpoint.list": _READ,
    "v1.operational-webhook.endpoint.rotate-secret": _WRITE,
    "v1.operational-webhook.endpoint.set-headers": _WRITE,
    "v1.operational-webhook.endpoint.upsert": _WRITE,
    # A source holds credentials, and messages of any application may come of it.
    "v1.source.create": _ADMINISTER,
    "v1.source.delete": _ADMINISTER,
    "v1.source.faults": _READ,
    "v1.source.get": _READ,
    "v1.source.list": _READ,
    "v1.source.patch": _ADMINISTER,
    "v1.statistics.aggregate-app-stats": _WRITE,
    "v1.statistics.aggregate-event-types": _WRITE,
    "v1.statistics.failing-endpoints": _READ,
}


def allows(caller: Caller, *, operation: str) -> bool:
    """Whether the caller may call the operation."""
    try:
        check(caller, operation=operation)
    except NotAllowed:
        return False
    return True


def check(caller: Caller, *, operation: str | None) -> None:
    """Check that the caller may call the operation. NotAllowed."""
    needs = NEEDS.get(operation or "", _ADMINISTER)
    if caller.app_id is None:
        caller.require_role(needs.role)
    elif needs.capabilities is None:
        raise NotAllowed
    else:
        caller.require(*needs.capabilities)
