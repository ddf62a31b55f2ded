"""The console's sentences and names that are not in a template, in English."""

from collections.abc import Sequence

from service.console.signing_in import Viewer
from service.domain.background_tasks import TaskKind
from service.domain.endpoints import DisabledReason

# After a form: what was done.
DONE = {
    "signed-out": "You have signed out.",
    "ended": "Your session has ended. Open the portal again from where you came.",
    "created": "It was created.",
    "changed": "The changes are kept.",
    "deleted": "It was deleted.",
    "sent": "The message was accepted. Its deliveries are below.",
    "resent": "One more attempt is on its way. Reload the page to see it.",
    "nothing-to-resend": "Nothing here has failed, so nothing was sent again.",
    "expunged": "The payload was removed.",
    "enabled": "The endpoint is enabled: it gets what comes from now on. What it missed can be replayed below.",
    "disabled": "The endpoint is disabled: it gets nothing until it is enabled.",
    "destination-enabled": "The destination is enabled: it goes on where it stood.",
    "destination-stopped": "The destination gets nothing until it is enabled. What is accepted meanwhile waits for it.",
    "rotated": "There is a new secret. The old one signs beside it for as long as you chose.",
    "old-secrets-ended": "The current secret alone signs from now on.",
    "example-sent": "The example was sent. What the receiver answered is below.",
    "archived": "It is archived: lists leave it out until it is brought back.",
    "unarchived": "It is in the catalogue again.",
    "imported": "The event types are as the document says.",
    "canceled": "It runs no more. What it had done stays done.",
    "started": "It has begun. Its progress is among the tasks.",
}

# Why an endpoint is disabled; what was disabled before reasons were kept has none.
DISABLED = {
    DisabledReason.GONE: "It answered 410 Gone: it wants no more messages.",
    DisabledReason.FAILING: "Nothing but failures for so long that it was given up.",
    DisabledReason.CUSTOMER: "Somebody disabled it, here or by the API.",
    None: "",
}

TASKS = {
    TaskKind.RECOVER: "Recover an endpoint",
    TaskKind.REPLAY: "Replay what an endpoint missed",
    TaskKind.BULK_REPLAY: "Replay messages to an endpoint",
    TaskKind.APPLICATION_STATS: "Count the attempts of applications",
    TaskKind.EVENT_TYPE_AGGREGATE: "Collect what endpoints want",
    TaskKind.PURGE_CONTENT: "Remove all payloads",
}

# Why nobody was signed in.
REFUSED_SIGN_INS = {
    "token": "This token is not valid, has expired, or was revoked.",
    "elsewhere": "This sign-in was begun in another browser or window, or more than ten minutes ago. Begin again.",
    "declined": "The provider did not sign you in. Begin again, or ask whoever looks after it.",
    "unknown": "The provider's answer does not hold, or gives you no role in an organisation here. Begin again, or ask "
    "whoever looks after the provider.",
}

# What a portal link may allow besides seeing what there is.
CAPABILITIES = {
    "CreateAttempts": "send messages again, replay them, and send examples",
    "ManageEndpoint": "create, change and delete endpoints and destinations, and see and change their secrets",
    "ViewEndpointSecret": "see the secrets of endpoints",
    "ManageEndpointSecret": "see and change the secrets of endpoints",
}
LIFETIMES = {"3600": "1 hour", "28800": "8 hours", "86400": "1 day", "604800": "7 days"}

# The page's address, its name, and the operation that it needs.
_OF_ORGANISATIONS = (
    ("/overview", "Overview", "v1.statistics.failing-endpoints"),
    ("/apps", "Applications", "v1.application.list"),
    ("/live", "Live", "v1.application.list"),
    ("/event-types", "Event types", "v1.event-type.list"),
    ("/tasks", "Tasks", "v1.background-task.list"),
    ("/audit", "Audit trail", "v1.audit.list"),
    ("/about", "About", "v1.application.list"),
)


def navigation(viewer: Viewer) -> list[tuple[str, str, str]]:
    """The pages that the viewer may open."""
    app_id = viewer.caller.app_id
    if app_id is not None:
        of_application = (
            (f"/app/{app_id}", "Endpoints", "v1.application.get"),
            (f"/app/{app_id}/messages", "Messages", "v1.message.list"),
            (f"/app/{app_id}/live", "Live", "v1.message-attempt.tail"),
            ("/event-types", "Event types", "v1.event-type.list"),
            ("/tasks", "Tasks", "v1.background-task.list"),
        )
        return [entry for entry in of_application if viewer.may(entry[2])]
    return [entry for entry in _OF_ORGANISATIONS if viewer.may(entry[2])]


# Where one thing of a list is, when it is not below the list.
_ONE_OF = {"apps": "app", "event-types": "event-type", "messages": "msg"}


def entry_of(path: str, entries: Sequence[tuple[str, str, str]]) -> str:
    """The address of the entry that the page at this path belongs to, the nearest one; empty without any."""
    return max((address for address, *_ in entries if _belongs(path, address)), key=len, default="")


def _belongs(path: str, address: str) -> bool:
    within, _, last = address.rpartition("/")
    return f"{path}/".startswith((f"{address}/", f"{within}/{_ONE_OF.get(last, last)}/"))
