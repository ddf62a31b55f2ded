"""Traces as Jaeger's HTTP API gives them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

SERVICE = "relevo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What we look at of one."""

    id: str
    trace: str
    name: str
    kind: str
    parent: str | None
    links: tuple[str, ...]
    tags: dict[str, Any]


def traces_of(jaeger: str, **tags: str) -> list[list[Span]]:
    """The traces of which a span has all the tags (`_` for `.`), the oldest first, spans in the order they began."""
    found = found_by(jaeger, {name.replace("_", "."): value for name, value in tags.items()})
    return sorted((_spans(trace) for trace in found), key=lambda spans: spans[0].tags["began"])


def found_by(jaeger: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The traces, as Jaeger tells them, of which a span has all the tags."""
    query = urlencode({"service": SERVICE, "tags": json.dumps(tags), "limit": 20, "lookback": "1h"})
    found: list[dict[str, Any]] = _get(f"{jaeger}/api/traces?{query}")["data"] or []
    return found


def trace(jaeger: str, trace_id: str) -> list[Span]:
    """One trace by its id."""
    return _spans(_get(f"{jaeger}/api/traces/{trace_id}")["data"][0])


def shape(spans: Iterable[Span]) -> str:
    """The tree as text, a line for each span, below those they belong to."""
    all_of_them = list(spans)
    ids = {span.id for span in all_of_them}
    lines: list[str] = []

    def draw(span: Span, depth: int) -> None:
        lines.append(f"{'  ' * depth}{span.kind} {span.name}")
        for child in all_of_them:
            if child.parent == span.id:
                draw(child, depth + 1)

    for span in all_of_them:
        if span.parent not in ids:
            draw(span, 0)
    return "\n".join(lines)


def _spans(found: dict[str, Any]) -> list[Span]:
    return [_span(each) for each in sorted(found["spans"], key=lambda each: int(each["startTime"]))]


def _span(found: dict[str, Any]) -> Span:
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    parents = [each["spanID"] for each in found["references"] if each["refType"] == "CHILD_OF"]
    return Span(
        id=found["spanID"],
        trace=found["traceID"],
        name=found["operationName"],
        kind=str(tags.get("span.kind", "internal")).upper(),
        parent=parents[0] if parents else None,
        links=tuple(each["traceID"] for each in found["references"] if each["refType"] == "FOLLOWS_FROM"),
        tags={**tags, "began": found["startTime"]},
    )


def _get(url: str) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(url, trust_env=False).raise_for_status().json()
    return document
