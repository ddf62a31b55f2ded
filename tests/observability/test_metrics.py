"""Every metric that there is, with every label that it has, and read by somebody."""

import re

from service.observability.instruments import INSTRUMENTS
from service.observability.metrics import Metrics
from service.observability.telemetry import Telemetry
from tests.stack.expressions import expressions, names_in

# By the name that Prometheus has for them, the labels of a point in which there is something to be said of each.
ALL: dict[str, dict[str, str]] = {
    "http_server_request_duration_seconds": {
        "http_request_method": "GET",
        "http_route": "/app",
        "http_response_status_code": "500",
        "url_scheme": "http",
        "error_type": "ValueError",
    },
    "http_server_active_requests": {"http_request_method": "GET", "url_scheme": "http"},
    "relevo_request_failed_after_answer": {},
    "relevo_message_accepted": {"outcome": "accepted"},
    "relevo_delivery_attempt_duration_seconds": {"outcome": "failure", "status_class": "5xx", "error_type": "5xx"},
    "relevo_delivery_first_attempt_delay_seconds": {},
    "relevo_delivery_latency_seconds": {"outcome": "delivered"},
    "relevo_delivery_exhausted": {"reason": "gone"},
    "relevo_delivery_throttled": {},
    "relevo_delivery_unsettled": {"reason": "too_late"},
    "relevo_destination_batch_duration_seconds": {"kind": "fifoEndpoint", "outcome": "sent"},
    "relevo_destination_messages": {"kind": "fifoEndpoint", "outcome": "sent"},
    "relevo_destination_disabled": {"kind": "fifoEndpoint"},
    "relevo_destination_lag_messages": {"kind": "fifoEndpoint", "database": "eu-2"},
    "relevo_destination_lag_age_seconds": {"kind": "fifoEndpoint", "database": "eu-2"},
    "relevo_source_message": {"kind": "nats", "outcome": "accepted"},
    "relevo_source_lag": {"kind": "nats"},
    "relevo_database_up": {"database": "eu-2"},
    "relevo_queue_depth": {"state": "due", "database": "eu-2"},
    "relevo_queue_oldest_due_age_seconds": {"database": "eu-2"},
    "relevo_worker_inflight": {"database": "eu-2"},
    "relevo_worker_capacity": {"database": "eu-2"},
    "relevo_commit_batch_size": {"batch": "settle"},
    "relevo_commit_duration_seconds": {"batch": "settle"},
    "relevo_endpoint_disabled": {"reason": "gone"},
    "relevo_endpoint_failing": {"longer_than": "1h", "database": "eu-2"},
    "relevo_breaker_open": {"database": "eu-2"},
    "relevo_process_ended": {"reason": "signal"},
    "relevo_eventloop_lag_seconds": {},
    "relevo_pool_size": {"pool": "db"},
    "relevo_pool_checked_out": {"pool": "db"},
    "relevo_pool_wait_seconds": {"pool": "db"},
    "relevo_executor_duration_seconds": {"pool": "db"},
}
OF_PROMETHEUS = {"le", "quantile"}
UNITS = {"s": "_seconds", "By": "_bytes"}


def test_every_instrument_has_a_row_here_with_its_labels() -> None:
    instruments = {
        name.replace(".", "_") + UNITS.get(instrument.unit, ""): {
            label.replace(".", "_") for label in instrument.labels
        }
        for name, instrument in INSTRUMENTS.items()
    }

    assert instruments == {name: set(labels) for name, labels in ALL.items()}


def test_panels_rules_and_the_runbook_read_every_metric_of_ours_and_none_that_is_not_there() -> None:
    read = {re.sub("_(total|bucket|count|sum)$", "", name) for _, said in expressions() for name in names_in(said)}

    assert {name for name in ALL if name.startswith("relevo_")} - read == set()
    assert {name for name in read if name.startswith(("relevo_", "http_"))} - ALL.keys() == set()


def everything_happens(metrics: Metrics) -> None:
    metrics.request_started(method="GET", scheme="http")
    metrics.request_finished(
        method="GET", scheme="http", route="/app", status=500, error_type="ValueError", seconds=0.1
    )
    metrics.failed_after_answer()
    metrics.messages_accepted("accepted")
    metrics.attempt(0.1, status_class="5xx", error="5xx")
    metrics.first_attempt_delay(0.1)
    metrics.delivery_latency("delivered", 0.1)
    metrics.delivery_exhausted("gone")
    metrics.unsettled("too_late")
    metrics.process_ended("signal")
    metrics.deliveries_throttled(1)
    metrics.batch("settle", size=1, seconds=0.1)
    metrics.batch_sent("fifoEndpoint", "sent", seconds=0.1)
    metrics.batch_messages("fifoEndpoint", "sent", 1)
    metrics.destination_disabled("fifoEndpoint")
    metrics.streams_sampled({"fifoEndpoint": (1, 0.1)}, database="eu-2")
    metrics.database_up("eu-2", up=True)
    metrics.queue_sampled({"due": 1}, oldest_due_age=0.1, database="eu-2")
    metrics.worker(inflight=1, capacity=2, database="eu-2")
    metrics.endpoint_disabled("gone")
    metrics.endpoints_failing({"1h": 1}, database="eu-2")
    metrics.breakers_open(1, database="eu-2")
    metrics.source_messages("nats", "accepted", 1)
    metrics.source_lag("nats", 3)
    metrics.eventloop_lag(0.1)
    metrics.pool_waited("db", 0.1)
    metrics.work_left_the_loop("db", 0.1)
    metrics.observe_pool("db", size=lambda: 2, checked_out=lambda: 1)


def test_every_metric_has_its_labels_and_no_others(telemetry: Telemetry) -> None:
    everything_happens(telemetry.metrics)

    shown: dict[str, list[dict[str, str]]] = {}
    for family in telemetry.registry.collect():
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name not in OF_PROMETHEUS}
            shown.setdefault(family.name, []).append(labels)

    ours = {name: found for name, found in shown.items() if name.startswith(("http_", "relevo_"))}
    assert ours.keys() == ALL.keys()
    for name, labels in ALL.items():
        assert labels in ours[name], name
        assert {frozenset(found) for found in ours[name]} == {frozenset(labels)}, name
