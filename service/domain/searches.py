"""What a search finds: a thing of any kind, with where it is."""

from dataclasses import dataclass
from enum import StrEnum

from service.domain.ids import ApplicationId


class HitKind(StrEnum):
    """The kinds of things that are found."""

    APPLICATION = "application"
    ENDPOINT = "endpoint"
    MESSAGE = "message"
    ATTEMPT = "attempt"
    TASK = "background task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A thing that was found, and the application that it belongs to; a task of the whole organisation has none.

    `label` is what people know it by. `within` is the message of an attempt.
    """

    kind: HitKind
    id: str
    label: str
    app_id: ApplicationId | None
    app_name: str | None
    within: str | None = None
