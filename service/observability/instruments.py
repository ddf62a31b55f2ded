"""The instruments. Names, units, labels and buckets are defined only here."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

FAST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
ATTEMPT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
DELAY_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400)
BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Instrument:
    """The definition of an instrument: unit, description, allowed labels (a view drops all others), the bounds of a
    histogram's buckets, and whether a gauge is `shared`: every process of a machine says the same."""

    unit: str
    about: str
    labels: Set[str] = frozenset()
    buckets: tuple[float, ...] | None = None
    shared: bool = False


INSTRUMENTS: Mapping[str, Instrument] = {
    "http.server.request.duration": Instrument(
        "s",
        "Duration of requests, until the last byte",
        {"http.request.method", "http.route", "http.response.status_code", "url.scheme", "error.type"},
        REQUEST_BUCKETS_S,
    ),
    "http.server.active_requests": Instrument(
        "{request}", "Requests being answered", {"http.request.method", "url.scheme"}
    ),
    "relevo.request.failed_after_answer": Instrument(
        "{request}", "Requests that failed after their answer was complete"
    ),
    "relevo.message.accepted": Instrument("{message}", "Messages that came in", {"outcome"}),
    "relevo.delivery.attempt.duration": Instrument(
        "s", "Duration of calls to receivers", {"outcome", "status_class", "error.type"}, ATTEMPT_BUCKETS_S
    ),
    "relevo.delivery.first_attempt.delay": Instrument("s", "Due to first attempt", buckets=DELAY_BUCKETS_S),
    "relevo.delivery.latency": Instrument("s", "Accept to final state", {"outcome"}, LATENCY_BUCKETS_S),
    "relevo.delivery.exhausted": Instrument("{delivery}", "Deliveries given up", {"reason"}),
    "relevo.delivery.throttled": Instrument("{delivery}", "Deliveries held back by a throttle"),
    "relevo.delivery.unsettled": Instrument("{attempt}", "Attempts whose outcome was not kept", {"reason"}),
    "relevo.destination.batch.duration": Instrument(
        "s", "Duration of batches to ordered destinations", {"kind", "outcome"}, ATTEMPT_BUCKETS_S
    ),
    "relevo.destination.messages": Instrument("{message}", "Messages to ordered destinations", {"kind", "outcome"}),
    "relevo.destination.lag.messages": Instrument(
        "{message}",
        "How far the ordered destination is behind that is furthest behind",
        {"kind", "database"},
        shared=True,
    ),
    "relevo.destination.lag.age": Instrument(
        "s",
        "Age of the oldest message that an ordered destination has not been sent",
        {"kind", "database"},
        shared=True,
    ),
    "relevo.destination.disabled": Instrument("{destination}", "Ordered destinations switched off", {"kind"}),
    "relevo.source.message": Instrument("{message}", "Messages that came from brokers", {"kind", "outcome"}),
    "relevo.source.lag": Instrument(
        "{message}", "Messages that wait at the broker of the source that lags most", {"kind"}, shared=True
    ),
    "relevo.database.up": Instrument("{database}", "Whether a database answers: 1, or 0", {"database"}, shared=True),
    "relevo.queue.depth": Instrument("{delivery}", "Deliveries owed, by state", {"state", "database"}, shared=True),
    "relevo.queue.oldest_due_age": Instrument("s", "Age of the oldest due delivery", {"database"}, shared=True),
    "relevo.worker.inflight": Instrument("{attempt}", "Attempts under way", {"database"}),
    "relevo.worker.capacity": Instrument("{attempt}", "Attempts possible at once", {"database"}),
    "relevo.commit.batch.size": Instrument("{item}", "Callers per group commit", {"batch"}, BATCH_SIZE_BUCKETS),
    "relevo.commit.duration": Instrument("s", "Duration of group commits", {"batch"}, FAST_BUCKETS_S),
    "relevo.endpoint.disabled": Instrument("{endpoint}", "Endpoints switched off", {"reason"}),
    "relevo.endpoint.failing": Instrument(
        "{endpoint}", "Endpoints that take nothing, by age", {"longer_than", "database"}, shared=True
    ),
    "relevo.breaker.open": Instrument("{endpoint}", "Open circuit breakers", {"database"}, shared=True),
    "relevo.process.ended": Instrument("{process}", "Processes that ended and were replaced", {"reason"}),
    "relevo.eventloop.lag": Instrument("s", "How late the event loop wakes a sleeper", buckets=FAST_BUCKETS_S),
    "relevo.pool.size": Instrument("{place}", "Connections or threads that a pool has", {"pool"}),
    "relevo.pool.checked_out": Instrument("{place}", "Connections or threads in use", {"pool"}),
    "relevo.pool.wait": Instrument("s", "Wait for a place in a pool", {"pool"}, FAST_BUCKETS_S),
    "relevo.executor.duration": Instrument("s", "Work outside of the event loop", {"pool"}, FAST_BUCKETS_S),
}


def views() -> list[View]:
    """The SDK's views of our instruments: their buckets, and the only labels that are let through."""
    return [
        View(
            instrument_name=name,
            attribute_keys=set(instrument.labels),
            aggregation=ExplicitBucketHistogramAggregation(instrument.buckets) if instrument.buckets else None,
        )
        for name, instrument in INSTRUMENTS.items()
    ]
