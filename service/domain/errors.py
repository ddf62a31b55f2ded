"""The errors of the business. They know nothing of HTTP: `api/problems.py` maps each to a status."""


class RelevoError(Exception):
    """Anything that Relevo refuses. `code` is stable; `detail` is a sentence for the caller."""

    code = "generic_error"
    detail = "The request could not be carried out."

    def __init__(self, detail: str | None = None) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)


class Invalid(RelevoError):
    """A value breaks a rule. `field` is the path to it by the domain's names, as in `("event_types",)`."""

    code = "value_error"

    def __init__(self, detail: str, *, field: tuple[str, ...], kind: str = "value_error") -> None:
        super().__init__(detail)
        self.field = field
        self.kind = kind


class Refused(RelevoError):
    """The request is well formed, but the current state does not allow it."""


class NotAuthenticated(RelevoError):
    """No token, or an invalid one."""

    code = "authentication_failed"
    detail = "Invalid token"


class NoToken(NotAuthenticated):
    """The request has no token."""

    detail = "No token was sent. Send the header `Authorization: Bearer <token>`."


class NotAllowed(RelevoError):
    """The caller is authenticated, but may not do this."""

    code = "insufficient access"  # the peer's code really has a space
    detail = "Insufficient access for the given operation."


class NotFound(RelevoError):
    """It does not exist, or belongs to another tenant; the answer is the same."""

    code = "not_found"
    detail = "Entity not found"


class Conflict(RelevoError):
    """Something with that name exists already."""

    code = "conflict"
    detail = "A conflict has occurred"


class EventTypeExists(Conflict):
    """An event type that is not archived has that name."""

    code = "event_type_exists"
    detail = "An event_type with that name already exists"


class TaskEnded(Conflict):
    """The background task has finished, failed or been canceled before."""

    code = "task_ended"
    detail = "This background task runs no more, so it cannot be canceled."


class TaskCanceled(RelevoError):
    """Why a task failed that was canceled."""

    code = "task_canceled"
    detail = "It was canceled."


class StillRunning(Conflict):
    """The first request with this idempotency key has not finished."""

    code = "idempotency_conflict"
    detail = "The first request with this idempotency key is still running. Try again in a moment."


class KeyReused(Invalid):
    """The idempotency key was used before with another body."""

    def __init__(self) -> None:
        super().__init__(
            "This idempotency key was used before with another body. Use a new key for a new request.",
            field=("idempotency_key",),
            kind="idempotency_key_reused",
        )


class LimitReached(Refused):
    """There are as many of these as allowed."""

    code = "limit_reached"


class EndpointDisabled(Refused):
    """The endpoint is disabled; enable it before sending to it."""

    code = "endpoint_disabled"
    detail = "The endpoint is disabled. Enable it before sending to it."


class DestinationNotEnabled(Refused):
    """The destination is paused or disabled; enable it before polling it."""

    code = "destination_not_enabled"
    detail = "The destination is paused or disabled. Enable it before polling it."


class MissingPayload(Refused):
    """The payload was removed, so the message cannot be sent again."""

    code = "missing_payload"
    detail = "Unable to resend message. Payload is missing."


class UnreadableFile(Refused):
    """The file cannot be unpacked; the lines before the damage were processed."""

    code = "unreadable_file"
    detail = "The file cannot be read."


class UnusableSpecification(Refused):
    """The OpenAPI document cannot be read, or does not describe webhooks."""

    code = "invalid_spec"
    detail = "The OpenAPI document cannot be used."


class InvalidRange(Refused):
    """The time window is too long, reversed or in the future."""

    code = "invalid_range"


class NoExample(Refused):
    """The event type has no schema to make an example from."""

    code = "invalid_scheme"
    detail = "Unable to generate an example message: the event type has no schema of an object."


class NotOffered(RelevoError):
    """An operation of the Svix API that Relevo does not have. `operation` is its name in the official SDK."""

    code = "not_implemented"
    detail = "Relevo does not offer this."

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(f"Relevo does not offer `{operation}`: {reason}.")


class Busy(RelevoError):
    """Backpressure: more requests arrive than can be stored. `retry_after` is in seconds."""

    code = "overloaded"
    detail = "Too many requests are waiting. Try again shortly."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(Busy):
    """The database, or the issuer of the caller's token, did not answer, so nothing was stored."""

    code = "unavailable"
    detail = "The service cannot keep requests right now. Nothing was stored; try again shortly."


class LivesElsewhere(Unavailable):
    """The organisation's database is another one than this process knew, or is being changed; nothing was stored."""

    detail = "The organisation is moving to another database. Nothing was stored; try again shortly."
