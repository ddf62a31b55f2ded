"""Parses server-sent events. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `id` is sent as `Last-Event-ID` when the stream is resumed."""

    name: str
    data: dict[str, Any]
    id: str | None = None


def events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """The events, each as soon as it is complete; comments are skipped. ValueError when the data is no JSON object."""
    fields: dict[str, str] = {}
    for line in _lines(pieces):
        name, colon, value = line.partition(":")
        if name and colon:
            fields[name] = value.removeprefix(" ")
        elif not line:
            if "data" in fields:
                yield _event(fields)
            fields = {}


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    # Not `splitlines`: the data quotes receivers' answers, which may contain Unicode's other line breaks.
    kept = b""
    for piece in pieces:
        *lines, kept = (kept + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode()


def _event(fields: dict[str, str]) -> Event:
    data = json.loads(fields["data"])
    if not isinstance(data, dict):
        raise ValueError("an event's data has to be an object")  # noqa: TRY004 - it is what the sender wrote
    return Event(name=fields.get("event", "message"), data=data, id=fields.get("id"))
