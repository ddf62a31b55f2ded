"""The protocol of what receives the demo's telemetry, and the spans that it returns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MESSAGE = "relevo.message.id"
ATTEMPT, BATCH = "process deliveries", "send batch"

Check = tuple[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What the telemetry is checked against: the numbers of messages and attempts, and the traces of one message."""

    messages: int
    attempts: int
    message_id: str
    message_attempts: int
    traces: Sequence["Span"]


class Witness(Protocol):
    """A collector with its stores, or a stub of them."""

    def environ(self, url: str) -> Mapping[str, str]:
        """The `OTEL_*` variables that make Relevo send its telemetry here. `url` is the demo's own server."""
        ...

    async def traces_of(self, message_id: str, *, attempts: int, within: float) -> "list[Span]":
        """The traces of a message as trees, oldest first. Waits until they contain `attempts` attempts, at most
        `within` seconds."""
        ...

    async def testify(self, play: Play) -> Sequence[Check]:
        """Further checks of the telemetry: a sentence each, and whether it holds."""
        ...


@dataclass(slots=True, kw_only=True)
class Span:
    """A finished span and its children, by start time. Times are in nanoseconds, ids in hexadecimal digits."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, str]
    linked: bool
    children: list["Span"] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        """Its duration."""
        return (self.end - self.start) / 1e6


def attempts_in(spans: Iterable[Span], message_id: str, *, name: str = ATTEMPT) -> int:
    """How many attempts to deliver the message, or spans of another `name` about it, are among the spans."""
    return sum(span.name == name and span.attributes.get(MESSAGE) == message_id for span in spans)


def trees(spans: Sequence[Span], message_id: str) -> list[Span]:
    """The root spans of the traces in which the message occurs, with their children."""
    traces = {span.trace_id for span in spans if span.attributes.get(MESSAGE) == message_id}
    ordered = sorted((span for span in spans if span.trace_id in traces), key=lambda span: span.start)
    by_id = {span.span_id: span for span in ordered}
    roots: list[Span] = []
    for span in ordered:
        parent = by_id.get(span.parent_id)
        (parent.children if parent else roots).append(span)
    return roots
