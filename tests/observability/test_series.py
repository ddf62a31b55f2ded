"""A series records what its histogram would have recorded."""

import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace import TracerProvider

from service.observability.series import Series

AMOUNTS = (0.0, 0.004, 0.2, 7.0, 1e9)
LABELS: dict[str, str | int] = {"status": 202, "method": "POST"}


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_both_readers_see_what_the_histogram_would_have_recorded(temporality: AggregationTemporality) -> None:
    readers = [InMemoryMetricReader({Histogram: temporality}) for _ in range(2)]
    views = [View(instrument_name="*", attribute_keys={"status", "method"})]
    meter = MeterProvider(readers, views=views).get_meter("test")
    usual, bound = meter.create_histogram("usual"), meter.create_histogram("bound")
    series = Series(bound, LABELS)

    for times in (1, 2):
        with TracerProvider().get_tracer("test").start_as_current_span("kept"):
            for amount in AMOUNTS * times:
                usual.record(amount, LABELS)
                series.record(amount)

        for reader in readers:
            told = points(reader)
            assert told["usual"] == told["bound"]
            assert told["usual"][0] == len(AMOUNTS) * (3 if times == 2 and temporality.value == 2 else times)


def test_a_span_that_is_kept_is_an_example_of_its_series() -> None:
    reader = InMemoryMetricReader()
    series = Series(MeterProvider([reader]).get_meter("test").create_histogram("bound"), LABELS)
    series.record(1)

    with TracerProvider().get_tracer("test").start_as_current_span("kept") as span:
        series.record(2)

    assert points(reader)["bound"][-1] == [span.get_span_context().trace_id]


def test_without_the_sdk_nothing_is_recorded() -> None:
    series = Series(NoOpMeterProvider().get_meter("test").create_histogram("bound"), LABELS)

    series.record(1)
    series.record(1)

    assert trace.get_current_span() is trace.INVALID_SPAN


def points(reader: InMemoryMetricReader) -> dict[str, tuple[object, ...]]:
    """What there is of the only point of each metric."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: (
            point.count,
            point.sum,
            point.min,
            point.max,
            list(point.bucket_counts),
            dict(point.attributes or {}),
            [exemplar.trace_id for exemplar in point.exemplars or ()],
        )
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
        if isinstance(point, HistogramDataPoint)
    }
