"""Checks the demo's telemetry in the real collector, Jaeger and Prometheus, at the addresses `make stack` writes."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from service.commands.demo.witness import MESSAGE, Check, Play, Span, attempts_in, trees
from service.offloading.threads import Threads

SERVICE = "relevo"
ATTEMPT_EVENT = "delivery.attempted"
_REFERENCES = ("CHILD_OF", "FOLLOWS_FROM")
QUERY_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.2

T = TypeVar("T")


class StackUnknown(Exception):
    """The file with the stack's addresses is missing; the text says how to make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The stack's addresses. `instance` is this demo's `service.instance.id`, to tell it from others on the stack."""

    otlp_grpc: str
    jaeger: str
    prometheus: str
    logs: Path
    instance: str = field(default_factory=lambda: f"demo-{uuid.uuid4()}")

    def environ(self, url: str) -> Mapping[str, str]:  # noqa: ARG002  # the protocol `Witness` has it
        """The `OTEL_*` variables that export all three signals with short delays."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp_grpc,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={self.instance}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
        }

    async def traces_of(self, message_id: str, *, attempts: int, within: float) -> list[Span]:
        """The traces of a message, found in Jaeger by its id."""
        asked = {"service": SERVICE, "tags": json.dumps({MESSAGE: message_id}), "limit": 100, "lookback": "1h"}

        async def found() -> list[Span]:
            return list(_spans(await _get(f"{self.jaeger}/api/traces", asked)))

        spans = await _until(found, lambda some: attempts_in(some, message_id) >= attempts, within=within)
        return trees(spans, message_id)

    async def testify(self, play: Play) -> Sequence[Check]:
        """Checks of the trace in Jaeger, the counters in Prometheus and the lines in the collector's log file."""
        return [self._in_jaeger(play), await self._in_prometheus(play), await self._in_the_log(play)]

    def _in_jaeger(self, play: Play) -> Check:
        links = " ".join(f"{self.jaeger}/api/traces/{trace}" for trace in sorted(_ids(play)))
        found = sum(attempts_in(_flat(root), play.message_id) for root in play.traces)
        return f"Jaeger finds the attempts by the message's id: {links}", 0 < found == play.message_attempts

    async def _in_prometheus(self, play: Play) -> Check:
        messages = await self._figure("relevo_message_accepted_total", play.messages)
        attempts = await self._figure("relevo_delivery_attempt_duration_seconds_count", play.attempts)
        claim = f"Prometheus counts {messages:.0f} messages and {attempts:.0f} attempts of {self.instance}"
        return claim, (messages, attempts) == (play.messages, play.attempts)

    async def _in_the_log(self, play: Play) -> Check:
        lines = await self._lines(play)
        claim = f"{self.logs} has {len(lines)} lines {ATTEMPT_EVENT!r} with these traces' ids"
        return claim, 0 < len(lines) == play.message_attempts and {line["traceId"] for line in lines} <= _ids(play)

    async def _figure(self, metric: str, expected: float) -> float:
        query = {"query": f'sum({metric}{{instance="{self.instance}"}})'}

        async def found() -> float:
            answer = await _get(f"{self.prometheus}/api/v1/query", query)
            return sum(float(series["value"][1]) for series in answer["data"]["result"])

        return await _until(found, lambda figure: figure >= expected, within=QUERY_TIMEOUT_S)

    async def _lines(self, play: Play) -> list[dict[str, Any]]:
        async def found() -> list[dict[str, Any]]:
            text = await threads.run(self._logged)
            return [record for record in _records(text) if _concerns(record, play.message_id)]

        with Threads("demo", workers=1) as threads:
            return await _until(found, lambda lines: len(lines) >= play.message_attempts, within=QUERY_TIMEOUT_S)

    def _logged(self) -> str:
        return self.logs.read_text() if self.logs.exists() else ""


def read(addresses: Path) -> Stack:
    """The stack whose addresses are in the file. StackUnknown when there is none, or another one."""
    try:
        told = json.loads(addresses.read_text())
        return Stack(
            otlp_grpc=told["otlp_grpc"],
            jaeger=told["jaeger"],
            prometheus=told["prometheus"],
            logs=Path(told["logs"]),
        )
    except FileNotFoundError:
        raise StackUnknown(f"There is no file {addresses}: run `make stack`, which writes it.") from None
    except (OSError, ValueError, KeyError, TypeError):
        fault = f"{addresses} is not the file that `make stack` writes: name that one, or leave its name out."
        raise StackUnknown(fault) from None


def _ids(play: Play) -> set[str]:
    return {span.trace_id for span in play.traces}


def _flat(span: Span) -> Iterator[Span]:
    yield span
    for child in span.children:
        yield from _flat(child)


def _spans(answer: Mapping[str, Any]) -> Iterator[Span]:
    for trace in answer["data"] or ():
        yield from map(_span, trace["spans"])


def _span(told: Mapping[str, Any]) -> Span:
    tags = {tag["key"]: str(tag["value"]) for tag in told["tags"]}
    references = {kind: [each for each in told["references"] if each["refType"] == kind] for kind in _REFERENCES}
    start = told["startTime"] * 1000
    return Span(
        name=told["operationName"],
        kind=tags.get("span.kind", "internal").upper(),
        trace_id=told["traceID"],
        span_id=told["spanID"],
        parent_id=next((each["spanID"] for each in references["CHILD_OF"]), ""),
        start=start,
        end=start + told["duration"] * 1000,
        attributes=tags,
        linked=bool(references["FOLLOWS_FROM"]),
    )


def _records(text: str) -> Iterator[dict[str, Any]]:
    # The last line may be half written.
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            for resource in json.loads(line)["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    yield from scope["logRecords"]


def _concerns(record: Mapping[str, Any], message_id: str) -> bool:
    attributes = {each["key"]: each["value"].get("stringValue") for each in record.get("attributes", ())}
    return record.get("body", {}).get("stringValue") == ATTEMPT_EVENT and attributes.get("message_id") == message_id


async def _until(found: Callable[[], Awaitable[T]], enough: Callable[[T], bool], *, within: float) -> T:
    """Poll `found` until the result is `enough` or `within` seconds are over; returns the last result."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within
    while True:
        result = await found()
        if enough(result) or loop.time() > give_up:
            return result
        await asyncio.sleep(POLL_INTERVAL_S)


async def _get(url: str, query: Mapping[str, Any]) -> Mapping[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        document: Mapping[str, Any] = (await client.get(url, params=query)).raise_for_status().json()
    return document
