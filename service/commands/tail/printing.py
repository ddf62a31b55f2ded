"""Formats an event as a line of `relevo tail`. Pure."""

from rich.text import Text

from service.commands.tail.events import Event

STYLES = {"success": "green", "fail": "red", "canceled": "yellow"}
UNKNOWN = "-"


def line_of(event: Event) -> Text | None:
    """The line for an event; None for one that has nothing to show."""
    match event.name:
        case "attempt":
            return _attempt(event)
        case "gap":
            return Text(_gap(event.data.get("missed")), style="bold yellow")
        case _:
            return None


def _attempt(event: Event) -> Text:
    status = _shown(event, "statusText")
    return Text.assemble(
        f"{_shown(event, 'timestamp')}  ",
        (f"{status:8}", STYLES.get(status, "")),
        f"  {_answer(event):>16}  {_shown(event, 'responseDurationMs'):>6} ms",
        f"  {_shown(event, 'msgId')}  {_shown(event, 'url')}",
    )


def _answer(event: Event) -> str:
    """The receiver's status, or why there is none."""
    return _shown(event, "responseStatusCode" if event.data.get("responseStatusCode") else "errorType")


def _gap(missed: object) -> str:
    match missed:
        case None:
            return "--- attempts may be missing here ---"
        case 1:
            return "--- 1 attempt is missing here ---"
        case _:
            return f"--- {missed} attempts are missing here ---"


def _shown(event: Event, name: str) -> str:
    """A value as text without control characters: an endpoint's URL is written by strangers."""
    value = event.data.get(name)
    text = UNKNOWN if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)
