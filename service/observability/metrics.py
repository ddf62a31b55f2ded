"""The metrics, one method for each fact that is counted or timed."""

from collections.abc import Iterable
from typing import Literal, get_args

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

from service.observability.gauges import Gauges, Read
from service.observability.instruments import INSTRUMENTS
from service.observability.series import Labels, Series

BatchOutcome = Literal["sent", "retrying", "disabled"]
Unsettled = Literal["too_late", "unavailable", "error"]
ProcessEnd = Literal["status", "signal", "silent"]


class Metrics(Gauges):
    """One method for each fact. Methods are cheap and may be called from any thread. Durations are in seconds. Facts of
    a database take its name where there are several, and its series have that as label; else it is None."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(meter)
        self._labels: dict[tuple[str | int | None, ...], Labels] = {}
        self._requests: dict[tuple[str, str, str | None, int, str | None], Series] = {}
        self._active: dict[tuple[str, str], int] = {}
        self._make_request_instruments()
        self._make_delivery_instruments()
        self._make_engine_instruments()
        self._make_destination_instruments()

    def request_started(self, *, method: str, scheme: str) -> None:
        """A request came in. `method` is a known one or `_OTHER`."""
        self._active[method, scheme] = self._active.get((method, scheme), 0) + 1

    def request_finished(
        self, *, method: str, scheme: str, route: str | None, status: int, error_type: str | None, seconds: float
    ) -> None:
        """The last byte of the answer was sent, or sending was given up. `route` is a template, None without a
        match."""
        self._active[method, scheme] -= 1
        key = (method, scheme, route, status, error_type)
        (self._requests.get(key) or self._request_series(*key)).record(seconds)

    def request_refused(self, *, scheme: str, status: int) -> None:
        """The protocol layer refused what was not a valid HTTP request."""
        key = ("_OTHER", scheme, None, status, None)
        (self._requests.get(key) or self._request_series(*key)).record(0.0)

    def failed_after_answer(self) -> None:
        """A background task or a dependency's exit failed after the answer was complete."""
        self._failed_after_answer.add(1)

    def messages_accepted(
        self, outcome: Literal["accepted", "repeated", "rejected", "throttled"], count: int = 1
    ) -> None:
        """Count messages by outcome; called once per batch and outcome."""
        self._accepted.add(count, self._labelled("outcome", outcome))

    def attempt(self, seconds: float, *, status_class: str | None, error: str | None) -> None:
        """An attempt was made: exactly one point, whatever the outcome. Without an `error` it is a success."""
        self._attempt_duration.record(seconds, self._attempt_labels(status_class, error))

    def first_attempt_delay(self, seconds: float) -> None:
        """How long after its due time a delivery's first attempt began."""
        self._first_attempt_delay.record(max(seconds, 0.0))

    def delivery_latency(self, outcome: str, seconds: float) -> None:
        """The time from accept to final state."""
        self._latency.record(max(seconds, 0.0), self._labelled("outcome", outcome))

    def delivery_exhausted(self, reason: str) -> None:
        """A delivery was given up."""
        self._exhausted.add(1, self._labelled("reason", reason))

    def unsettled(self, reason: Unsettled) -> None:
        """An attempt's outcome could not be stored, so the delivery will be attempted again."""
        self._unsettled.add(1, self._labelled("reason", reason))

    def deliveries_throttled(self, count: int) -> None:
        """Deliveries that are due were held back by their endpoint's or application's throttle."""
        self._throttled.add(count)

    def batch(self, kind: Literal["accept", "settle"], *, size: int, seconds: float) -> None:
        """A group commit of `size` callers."""
        labels = self._labelled("batch", kind)
        self._batch_size.record(size, labels)
        self._batch_duration.record(seconds, labels)

    def batch_sent(self, kind: str, outcome: BatchOutcome, *, seconds: float) -> None:
        """A batch was sent to an ordered destination, whatever came of it."""
        self._destination_batch.record(seconds, self._labels_of(kind, outcome))

    def batch_messages(self, kind: str, outcome: Literal["sent", "expired"], count: int) -> None:
        """Messages were taken by an ordered destination, or left out because their payloads are not kept any more."""
        self._destination_messages.add(count, self._labels_of(kind, outcome))

    def destination_disabled(self, kind: str) -> None:
        """An ordered destination was switched off."""
        self._destination_disabled.add(1, self._labelled("kind", kind))

    def process_ended(self, reason: ProcessEnd) -> None:
        """A child ended that nobody had told to: with a status, by a signal, or by ours because it was silent."""
        self._process_ended.add(1, self._labelled("reason", reason))

    def endpoint_disabled(self, reason: str) -> None:
        """An endpoint was switched off."""
        self._disabled.add(1, self._labelled("reason", reason))

    def source_messages(self, kind: str, outcome: str, count: int) -> None:
        """Count messages of a kind of broker by outcome; called once per batch and outcome."""
        labels = self._labels.get((kind, outcome))
        if labels is None:
            labels = self._labels[kind, outcome] = {"kind": kind, "outcome": outcome}
        self._source_messages.add(count, labels)

    def eventloop_lag(self, seconds: float) -> None:
        """How late the event loop woke a sleeping task."""
        self._loop_lag.record(max(seconds, 0.0))

    def pool_waited(self, pool: str, seconds: float) -> None:
        """A caller waited that long for a connection or a thread."""
        self._pool_wait.record(seconds, self._labelled("pool", pool))

    def work_left_the_loop(self, pool: str, seconds: float) -> None:
        """A piece of work ran that long in a thread or process."""
        self._executor_duration.record(seconds, self._labelled("pool", pool))

    def _make_request_instruments(self) -> None:
        self._request_duration = self._histogram("http.server.request.duration")
        self._up_down_counter("http.server.active_requests", self._read_active)
        self._failed_after_answer = self._counter("relevo.request.failed_after_answer")
        # Without a first value of 0, Prometheus' `increase` would miss the first event.
        self._failed_after_answer.add(0)

    def _make_delivery_instruments(self) -> None:
        self._accepted = self._counter("relevo.message.accepted")
        self._attempt_duration = self._histogram("relevo.delivery.attempt.duration")
        self._first_attempt_delay = self._histogram("relevo.delivery.first_attempt.delay")
        self._latency = self._histogram("relevo.delivery.latency")
        self._exhausted = self._counter("relevo.delivery.exhausted")
        self._unsettled = self._counter("relevo.delivery.unsettled")
        self._throttled = self._counter("relevo.delivery.throttled")
        self._disabled = self._counter("relevo.endpoint.disabled")
        self._source_messages = self._counter("relevo.source.message")
        for reason in get_args(Unsettled):
            self._unsettled.add(0, self._labelled("reason", reason))
        self._throttled.add(0)

    def _make_engine_instruments(self) -> None:
        self._batch_size = self._histogram("relevo.commit.batch.size")
        self._batch_duration = self._histogram("relevo.commit.duration")
        self._process_ended = self._counter("relevo.process.ended")
        for end in get_args(ProcessEnd):
            self._process_ended.add(0, self._labelled("reason", end))
        self._loop_lag = self._histogram("relevo.eventloop.lag")
        self._pool_wait = self._histogram("relevo.pool.wait")
        self._executor_duration = self._histogram("relevo.executor.duration")

    def _make_destination_instruments(self) -> None:
        self._destination_batch = self._histogram("relevo.destination.batch.duration")
        self._destination_messages = self._counter("relevo.destination.messages")
        self._destination_disabled = self._counter("relevo.destination.disabled")

    def _histogram(self, name: str) -> Histogram:
        instrument = INSTRUMENTS[name]
        return self._meter.create_histogram(name, instrument.unit, instrument.about)

    def _counter(self, name: str) -> Counter:
        instrument = INSTRUMENTS[name]
        return self._meter.create_counter(name, instrument.unit, instrument.about)

    def _up_down_counter(self, name: str, read: Read) -> None:
        instrument = INSTRUMENTS[name]
        self._meter.create_observable_up_down_counter(name, [read], instrument.unit, instrument.about)

    def _labelled(self, name: str, value: str) -> Labels:
        labels = self._labels.get((name, value))
        if labels is None:
            labels = self._labels[name, value] = {name: value}
        return labels

    def _labels_of(self, kind: str, outcome: str) -> Labels:
        labels = self._labels.get(("kind", kind, outcome))
        if labels is None:
            labels = self._labels["kind", kind, outcome] = {"kind": kind, "outcome": outcome}
        return labels

    def _request_series(
        self, method: str, scheme: str, route: str | None, status: int, error_type: str | None
    ) -> Series:
        labels: Labels = {"http.request.method": method, "url.scheme": scheme, "http.response.status_code": status}
        if route is not None:
            labels["http.route"] = route
        if error_type is not None:
            labels["error.type"] = error_type
        series = self._requests[method, scheme, route, status, error_type] = Series(self._request_duration, labels)
        return series

    def _attempt_labels(self, status: str | None, error: str | None) -> Labels:
        labels = self._labels.get((status, error))
        if labels is None:
            labels = self._labels[status, error] = {"outcome": "success" if error is None else "failure"}
            if status is not None:
                labels["status_class"] = status
            if error is not None:
                labels["error.type"] = error
        return labels

    def _read_active(self, _: CallbackOptions) -> Iterable[Observation]:
        for (method, scheme), count in list(self._active.items()):
            yield Observation(count, {"http.request.method": method, "url.scheme": scheme})
