"""Our bytes are those of the SDK's own encoder, read back by protobuf."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common import _log_encoder, trace_encoder
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from service.observability.otlp.logs import encode_log
from service.observability.otlp.spans import encode_span
from service.observability.otlp.wire import request, value

RESOURCE = Resource({"service.name": "relevo", "process.pid": 7}, schema_url="https://example.test/schema")
SCOPE = InstrumentationScope("relevo", "1.2", "https://example.test/scope", {"own": True})

texts = st.text(st.characters(codec="utf-8"), max_size=200)
numbers = st.integers(-(2**63), 2**63 - 1)
scalars: st.SearchStrategy[Any] = texts | numbers | st.booleans() | st.floats(allow_nan=False)
lists = st.one_of(*(st.lists(each, max_size=3).map(tuple) for each in (texts, numbers, st.booleans())))
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(
    ["correlation_id", "message_id", "relevo.correlation_id", "relevo.message.id"]
)
attributes = st.dictionaries(names, scalars | lists, max_size=5)
times = st.integers(0, 2**64 - 1)
states = st.sampled_from([TraceState(), TraceState([("vendor", "1"), ("other", "2")])])
contexts = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.just(TraceFlags(1)),
    trace_state=states,
)
statuses = st.one_of(
    st.builds(Status, st.sampled_from([StatusCode.UNSET, StatusCode.OK])),
    st.builds(Status, st.just(StatusCode.ERROR), texts),
)
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.just(RESOURCE),
    attributes=attributes,
    events=st.lists(st.builds(Event, texts, attributes, times), max_size=2),
    links=st.lists(st.builds(Link, contexts, attributes), max_size=2),
    kind=st.sampled_from(list(SpanKind)),
    status=statuses,
    start_time=times,
    end_time=times,
    instrumentation_scope=st.sampled_from([SCOPE, InstrumentationScope("other")]),
)
logs = st.builds(
    ReadableLogRecord,
    log_record=st.builds(
        LogRecord,
        timestamp=times,
        observed_timestamp=times,
        context=st.none(),
        trace_id=st.integers(0, 2**128 - 1),
        span_id=st.integers(0, 2**64 - 1),
        trace_flags=st.sampled_from([TraceFlags(0), TraceFlags(1)]),
        severity_text=st.none() | texts,
        severity_number=st.sampled_from(list(SeverityNumber)),
        body=texts,
        attributes=attributes,
        event_name=st.none() | texts,
    ),
    resource=st.just(RESOURCE),
    instrumentation_scope=st.sampled_from([SCOPE, InstrumentationScope("other")]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(spans, max_size=3))
def test_every_span_reads_as_the_sdk_writes_it(batch: list[ReadableSpan]) -> None:
    ours = ExportTraceServiceRequest.FromString(spans_request(batch))

    assert ours == trace_encoder.encode_spans(batch)


@settings(max_examples=40, deadline=None)
@given(st.lists(logs, max_size=3))
def test_every_log_record_reads_as_the_sdk_writes_it(batch: list[ReadableLogRecord]) -> None:
    encoded = [(record.instrumentation_scope, encode_log(record.log_record)) for record in batch]
    ours = ExportLogsServiceRequest.FromString(request(RESOURCE, encoded))

    assert ours == _log_encoder.encode_logs(batch)


@pytest.mark.parametrize("value", ["", 0, False, 0.0, -1, 2**63 - 1, b"\x00", ("a", ""), ()])
def test_an_attribute_keeps_its_type_when_it_says_nothing(value: Any) -> None:
    context = SpanContext(1, 2, is_remote=False)
    span = ReadableSpan("n", context=context, resource=RESOURCE, attributes={"key": value}, start_time=1, end_time=2)

    ours = ExportTraceServiceRequest.FromString(spans_request([span]))

    assert ours == trace_encoder.encode_spans([span])


def test_half_a_character_is_written_as_a_question_mark_and_fails_nobody() -> None:
    context = SpanContext(1, 2, is_remote=False)
    span = ReadableSpan("\ud800", context=context, attributes={"a\ud800": "b\ud800"})

    ours = ExportTraceServiceRequest.FromString(spans_request([span]))

    (read,) = ours.resource_spans[0].scope_spans[0].spans
    assert (read.name, read.attributes[0].key, read.attributes[0].value.string_value) == ("?", "a?", "b?")


def test_a_name_that_is_no_text_is_written_as_one() -> None:
    assert value({1: {None: "x"}}) == value({"1": {"None": "x"}})  # type: ignore[dict-item]  # a line may say anything


def spans_request(batch: list[ReadableSpan]) -> bytes:
    return request(RESOURCE, [(span.instrumentation_scope, encode_span(span)) for span in batch])
