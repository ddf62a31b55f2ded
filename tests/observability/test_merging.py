"""The metrics of several processes as if they were of one."""

from prometheus_client import CollectorRegistry, generate_latest

from service.observability.merging import Merged, lasting, merged, read
from service.observability.telemetry import open_telemetry

ONE = """\
# HELP relevo_message_accepted_total Messages that came in
# TYPE relevo_message_accepted_total counter
relevo_message_accepted_total{outcome="accepted"} 3.0
# HELP relevo_commit_duration_seconds Duration of group commits
# TYPE relevo_commit_duration_seconds histogram
relevo_commit_duration_seconds_bucket{batch="accept",le="0.001"} 1.0
relevo_commit_duration_seconds_bucket{batch="accept",le="+Inf"} 2.0
relevo_commit_duration_seconds_count{batch="accept"} 2.0
relevo_commit_duration_seconds_sum{batch="accept"} 0.5
# HELP relevo_queue_depth Deliveries owed, by state
# TYPE relevo_queue_depth gauge
relevo_queue_depth{state="due"} 7.0
# HELP relevo_worker_inflight Attempts under way
# TYPE relevo_worker_inflight gauge
relevo_worker_inflight 2.0
"""
OTHER = ONE.replace('"accepted"} 3.0', '"accepted"} 4.0').replace('"due"} 7.0', '"due"} 6.0') + (
    'relevo_queue_depth{state="leased"} 1.0\n# TYPE relevo_source_lag gauge\nrelevo_source_lag{kind="nats"} 5.0\n'
)


def shown(*pages: str) -> str:
    """All of them, merged and written."""
    registry = CollectorRegistry()
    registry.register(Merged(merged([read(page) for page in pages])))
    return generate_latest(registry).decode()


def test_what_one_process_shows_is_shown_as_it_is() -> None:
    assert shown(ONE) == ONE


def test_counts_and_what_each_has_are_added_up_and_of_what_all_see_the_greatest_is_taken() -> None:
    lines = shown(ONE, OTHER).splitlines()

    assert [line for line in lines if not line.startswith("#")] == [
        'relevo_message_accepted_total{outcome="accepted"} 7.0',
        'relevo_commit_duration_seconds_bucket{batch="accept",le="0.001"} 2.0',
        'relevo_commit_duration_seconds_bucket{batch="accept",le="+Inf"} 4.0',
        'relevo_commit_duration_seconds_count{batch="accept"} 4.0',
        'relevo_commit_duration_seconds_sum{batch="accept"} 1.0',
        'relevo_queue_depth{state="due"} 7.0',
        'relevo_queue_depth{state="leased"} 1.0',
        "relevo_worker_inflight 4.0",
        'relevo_source_lag{kind="nats"} 5.0',
    ]


def test_of_an_ended_process_its_counts_stay_and_its_gauges_go() -> None:
    assert set(lasting(read(OTHER))) == {"relevo_message_accepted", "relevo_commit_duration_seconds"}


async def test_what_succeeds_is_one_series_whether_or_not_something_has_failed_in_the_same_process() -> None:
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        telemetry.metrics.attempt(0.01, status_class="2xx", error=None)
        before = generate_latest(telemetry.registry).decode()
        telemetry.metrics.attempt(0.02, status_class="2xx", error=None)
        telemetry.metrics.attempt(0.5, status_class=None, error="timeout")
        after = generate_latest(telemetry.registry).decode()

    lines = shown(before, after).splitlines()
    name = "relevo_delivery_attempt_duration_seconds_count"
    assert {line for line in lines if line.startswith(name)} == {
        f'{name}{{outcome="success",status_class="2xx"}} 3.0',
        f'{name}{{error_type="timeout",outcome="failure"}} 1.0',
    }
    assert lines.count("# TYPE relevo_delivery_attempt_duration_seconds histogram") == 1
