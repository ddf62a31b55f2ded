"""What an import would do to event types, one by one, with before and after. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.console.json_text import editable
from service.domain.event_types import EventType, NewEventType

CONTEXT_LINES = 2
MAX_CHARACTERS = 10_000  # of one value

Change = Literal["new", "changed", "archived"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """A field with its value before and after; of a long one the part that differs."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypeChange:
    """An event type that an import would change."""

    name: str
    change: Change
    values: tuple[ValueChange, ...]


def changes(
    modified: Sequence[NewEventType | EventType], known: Mapping[str, EventType], *, most: int
) -> list[EventTypeChange]:
    """The first `most` changes. `modified` is what an import returns, `known` is what there is, by name."""
    return [_change(after, known.get(after.name)) for after in modified[:most]]


def _change(after: NewEventType | EventType, before: EventType | None) -> EventTypeChange:
    # What is archived comes from the catalogue, without its schemas; anything else comes from the document.
    if isinstance(after, EventType):
        return EventTypeChange(name=after.name, change="archived", values=())
    old, new = {} if before is None else _values(before), _values(after)
    values = tuple(
        ValueChange(field=field, before=was, after=becomes)
        for field in new
        for was, becomes in [_difference(old.get(field, ""), new[field])]
        if was != becomes
    )
    return EventTypeChange(name=after.name, change="new" if before is None else "changed", values=values)


def _values(event_type: NewEventType) -> dict[str, str]:
    return {
        "Description": event_type.description,
        "Group": event_type.group_name or "",
        "Deprecated": _word(event_type.deprecated),
        "Archived": _word(event_type.archived),
        "Feature flags": ", ".join(event_type.feature_flags or ()),
        "Payloads are checked": _word(event_type.validate_payloads),
        "Schemas": "" if event_type.schemas is None else editable(event_type.schemas),
    }


def _word(switch: bool) -> str:  # noqa: FBT001 - a value that is shown
    return "yes" if switch else ""


def _difference(before: str, after: str) -> tuple[str, str]:
    """Both values without the lines that they begin and end with alike, but for a few around the difference."""
    old, new = before.splitlines(), after.splitlines()
    if old == new:
        return before, before
    shorter = min(len(old), len(new))
    top = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    end = next((at for at in range(shorter - top) if old[-1 - at] != new[-1 - at]), shorter - top)
    return _part(old, top, end), _part(new, top, end)


def _part(lines: list[str], top: int, end: int) -> str:
    first, last = max(top - CONTEXT_LINES, 0), min(len(lines) - end + CONTEXT_LINES, len(lines))
    shown = "\n".join([*(["..."] if first else []), *lines[first:last], *(["..."] if last < len(lines) else [])])
    return shown if len(shown) <= MAX_CHARACTERS else f"{shown[:MAX_CHARACTERS]}\n..."
