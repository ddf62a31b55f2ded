"""Records to one series of a histogram without looking the series up for every measurement.

For each measurement the SDK copies, cleans, filters, sorts and hashes the labels, once for every reader. That is three
quarters of what a point costs, and here done once for each set of labels.
"""

import time
from typing import Any, NamedTuple

from opentelemetry.context import Context, get_current
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import Histogram as RecordedHistogram
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

Labels = dict[str, str | int]


class Series:
    """A histogram with one set of labels, which its view lets through."""

    def __init__(self, histogram: Histogram, labels: Labels) -> None:
        self._histogram = histogram
        self._labels = labels
        self._places: list[Any] = []
        self._samples_exemplar: Any = None

    def record(self, amount: float) -> None:
        """Record a finite amount, 0 or more."""
        if not self._places:
            # The first measurement makes the series. Where the SDK is switched off there is never one.
            self._histogram.record(amount, self._labels)
            self._find_places()
            return
        now, context = time.time_ns(), get_current()
        is_exemplar = self._samples_exemplar(amount, now, self._labels, context)
        for aggregation in self._places:
            aggregation.aggregate(_Measured(amount, now, self._labels, context), is_exemplar)

    def _find_places(self) -> None:
        """Find where each reader aggregates this series. In public the SDK has no such thing."""
        if not isinstance(self._histogram, RecordedHistogram):
            return
        consumer: Any = self._histogram._measurement_consumer  # noqa: SLF001  # see above
        key = _hash_attributes(self._labels)
        self._samples_exemplar = consumer._sdk_config.exemplar_filter.should_sample  # noqa: SLF001  # see above
        for storage in consumer._reader_storages.values():  # noqa: SLF001  # see above
            for match in storage._get_or_init_view_instrument_match(self._histogram):  # noqa: SLF001  # see above
                self._places.append(match._attributes_aggregation[key])  # noqa: SLF001  # see above


class _Measured(NamedTuple):
    """What an aggregation reads of a measurement."""

    value: float
    time_unix_nano: int
    attributes: Labels
    context: Context
