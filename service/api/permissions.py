"""Who may do what, by the name of the operation: roles of organisations, capabilities of applications.

What is not named here may be read by everybody, and changed by whoever is not restricted at all: a new route is
closed to limited tokens until somebody says otherwise. That an operation is an organisation's business alone is said
by its route, with `OrganisationDep`.
"""

from service.application.access import EVERY_CAPABILITY, Caller, Capability
from service.domain.errors import NotAllowed

_READING = frozenset({"GET", "HEAD"})
# The interface asks for them by POST, and nothing is changed.
_READING_BY_ANOTHER_METHOD = frozenset({"v1.environment.export"})

# Who holds a token made here can do what its application can, so making one is not for everybody who writes.
_FOR_ADMINS = frozenset(
    {
        "v1.application.delete",
        "v1.audit.list",
        "v1.authentication.app-portal-access",
        "v1.authentication.expire-all",
    }
)
_FOR_ITSELF = frozenset({"v1.authentication.logout", "v1.authentication.refresh"})
_CAPABILITIES: dict[str, Capability] = {
    "v1.endpoint.get-secret": "ViewEndpointSecret",
    "v1.endpoint.rotate-secret": "ManageEndpointSecret",
    "v1.endpoint.create": "ManageEndpoint",
    "v1.endpoint.upsert": "ManageEndpoint",
    "v1.endpoint.patch": "ManageEndpoint",
    "v1.endpoint.delete": "ManageEndpoint",
    "v1.endpoint.set-headers": "ManageEndpoint",
    "v1.endpoint.patch-headers": "ManageEndpoint",
    "v1.endpoint.recover": "CreateAttempts",
    "v1.endpoint.replay-missing": "CreateAttempts",
    "v1.endpoint.bulk-replay": "CreateAttempts",
    "v1.endpoint.send-example": "CreateAttempts",
    "v1.message-attempt.resend": "CreateAttempts",
}


def check(caller: Caller, *, operation: str | None, method: str) -> None:
    """NotAllowed unless the caller may do this."""
    if operation in _FOR_ADMINS:
        caller.require_admin()
    reads = method in _READING or operation in _READING_BY_ANOTHER_METHOD
    if caller.app_id is None:
        if not reads:
            caller.require_write()
    elif operation not in _FOR_ITSELF:
        _check_application(caller, operation=operation, reads=reads)


def _check_application(caller: Caller, *, operation: str | None, reads: bool) -> None:
    capability = _CAPABILITIES.get(operation or "", "ViewBase" if reads else None)
    if capability is not None:
        caller.require(capability)
    elif caller.capabilities != EVERY_CAPABILITY:
        raise NotAllowed
