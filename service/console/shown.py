"""How values look on a page: times, durations, numbers, payloads. Everything is text; the templates escape it."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from service.domain import ids
from service.domain.deliveries import Status

MAX_SHOWN_CHARACTERS = 200_000
MAX_INDENTED_LEVELS = 20  # of ten thousands of values, each on a line of its own
_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+').findall
_OPENING, _CLOSING = ("{", "["), ("}", "]")
_BINARY = "This content is not text; it cannot be shown."
_STATUSES = {
    Status.SUCCESS: "delivered",
    Status.PENDING: "waiting",
    Status.FAIL: "failed",
    Status.SENDING: "sending",
    Status.CANCELED: "canceled",
}


def moment(at: datetime | None) -> Markup:
    """A time element in UTC, which the script shows in the reader's zone."""
    if at is None:
        return Markup("-")
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        at.isoformat(timespec="milliseconds"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def made_at(identifier: str) -> Markup:
    """When the thing of this identifier was made."""
    return moment(ids.time_of(identifier))


def duration(seconds: float) -> str:
    """A duration with its unit, as in `12 ms`, `3.4 s`, `5 min`, `2.5 h`."""
    for limit, divisor, unit in ((1, 0.001, "ms"), (120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.0f} {unit}" if value >= 10 or unit == "ms" else f"{value:.1f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def number(value: float) -> str:
    """A number with its thousands apart."""
    return f"{value:,}"


def share(part: float, whole: float) -> str:
    """A share in per cent; a dash without a whole."""
    return "-" if not whole else f"{100 * part / whole:.4g} %"


def word(status: Status) -> str:
    """What a status is called on pages."""
    return _STATUSES[status]


def text(content: bytes | str | None) -> str:
    """Content as visible text: what would hide or turn other text is replaced by its code point."""
    if content is None:
        return ""
    if isinstance(content, bytes):
        try:
            content = content.decode()
        except UnicodeDecodeError:
            return _BINARY
    cut = content[:MAX_SHOWN_CHARACTERS]
    return cut if cut.isascii() and cut.isprintable() else "".join(map(_visible, cut))


def pretty(content: bytes) -> str:
    """JSON with indents, its names, numbers and escapes as they were written; anything else as it is."""
    shown = text(content)
    if len(content) > MAX_SHOWN_CHARACTERS:
        return shown
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return shown
    return "".join(_indented(shown))


def _indented(document: str) -> Iterator[str]:
    depth, before = 0, ""
    for word in _WORDS(document):
        closes, opened = word in _CLOSING, before in _OPENING
        depth -= closes
        if before == "," or opened != closes:
            yield "\n" + "  " * min(depth, MAX_INDENTED_LEVELS)
        yield ": " if word == ":" else word
        depth += word in _OPENING
        before = word


def _visible(character: str) -> str:
    if character in "\n\t" or character.isprintable():
        return character
    return "\N{SYMBOL FOR NEWLINE}" if character == "\r" else f"[U+{ord(character):04X} {_name(character)}]"


def _name(character: str) -> str:
    return unicodedata.name(character, unicodedata.category(character))


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "made_at": made_at,
    "duration": duration,
    "number": number,
    "word": word,
    "visible": text,
    "pretty": pretty,
}
