"""JSON as text that people edit: with indents, and with names, numbers and their order as they were written."""

import re

import msgspec

_INVISIBLE = re.compile(r"[^\x20-\x7e\n]")


def editable(document: str | bytes) -> str:
    """The document with indents. What would hide or turn other text is written as an escape, which means the same."""
    text = document.decode() if isinstance(document, bytes) else document
    try:
        text = msgspec.json.format(text, indent=2)
    except (ValueError, RecursionError):
        return text
    return _INVISIBLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
