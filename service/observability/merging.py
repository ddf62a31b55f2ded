"""The metrics of several processes as if they were of one: what Prometheus would have to add up otherwise.

Counters and histograms are added up, those of ended processes included, so that none ever goes back. Gauges are added
up too, but for those that every process reads from the same database: of these the greatest is taken.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from service.observability.instruments import INSTRUMENTS

Exposition = Mapping[str, Metric]
_Key = tuple[str, tuple[tuple[str, str], ...]]

# How Prometheus calls them: a unit may follow.
_SHARED = tuple(name.replace(".", "_") for name, instrument in INSTRUMENTS.items() if instrument.shared)
_COUNTING = frozenset({"counter", "histogram"})


class Merged(Collector):
    """Collects what `merged` made, for an encoder."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def collect(self) -> Iterator[Metric]:
        """Each metric."""
        return iter(self._exposition.values())


def read(text: str) -> Exposition:
    """The metrics of a process by name, as it shows them in Prometheus' text format."""
    return {metric.name: metric for metric in text_string_to_metric_families(text)}


def merged(expositions: Sequence[Exposition]) -> Exposition:
    """All of them together."""
    names = dict.fromkeys(name for exposition in expositions for name in exposition)
    return {name: _merged([each[name] for each in expositions if name in each]) for name in names}


def lasting(exposition: Exposition) -> Exposition:
    """What of an ended process's metrics still counts: all but the gauges."""
    return {name: metric for name, metric in exposition.items() if metric.type in _COUNTING}


def _merged(metrics: Sequence[Metric]) -> Metric:
    first = metrics[0]
    together = Metric(first.name, first.documentation, first.type)
    together.samples = _samples((sample for metric in metrics for sample in metric.samples), shared=_is_shared(first))
    return together


def _samples(samples: Iterable[Sample], *, shared: bool) -> list[Sample]:
    values: dict[_Key, float] = {}
    for sample in samples:
        # To Prometheus an empty label is none. The SDK gives each sample all labels that any of its metric has, so what
        # has failed in one process changes how it shows what has not.
        key = sample.name, tuple((label, value) for label, value in sample.labels.items() if value)
        before = values.get(key)
        values[key] = sample.value if before is None else max(before, sample.value) if shared else before + sample.value
    return [Sample(name, dict(labels), value) for (name, labels), value in values.items()]


def _is_shared(metric: Metric) -> bool:
    return metric.type not in _COUNTING and metric.name.startswith(_SHARED)
