"""A `traceparent` is read as OpenTelemetry's propagator reads it, whoever wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.observability.correlation import context_of, traceparent

GOOD = f"00-{'ab' * 16}-{'cd' * 8}-01"


def read(context: Context) -> SpanContext:
    return get_current_span(context).get_span_context()


@given(
    st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True)
    | st.from_regex(r"00-0{31}[01]-0{15}[01]-0[01]", fullmatch=True)
    | st.text()
)
def test_it_is_read_as_the_propagator_reads_it(written: str) -> None:
    assert_same(written)


@pytest.mark.parametrize(
    "written", [GOOD, GOOD.upper(), f" {GOOD} ", f"{GOOD}-more", GOOD.replace("00-", "ff-"), f"{GOOD}\n", GOOD[:-1]]
)
def test_oddities_are_read_as_the_propagator_reads_them(written: str) -> None:
    assert_same(written)


def assert_same(written: str) -> None:
    expected = TraceContextTextMapPropagator().extract({"traceparent": written}, Context())
    assert read(context_of(written)) == read(expected)
    assert read(context_of(written)).is_remote == read(expected).is_remote


def test_what_we_write_we_read_again() -> None:
    assert traceparent(read(context_of(GOOD))) == GOOD
