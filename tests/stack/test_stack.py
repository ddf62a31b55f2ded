"""A message's story as an operator finds it: in Jaeger, in Prometheus, in the collector's file."""

import json
import subprocess
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from deploy.stack.processes import ROOT, Stack
from tests.stack.expressions import runbook_searches
from tests.stack.jaeger import Span, found_by, shape, traces_of
from tests.stack.relevo import Relevo, eventually
from tests.stack.story import ATTEMPTS, Story

DELIVERED_AT_ONCE = """\
SERVER POST /api/v1/app/{app_id}/msg
  PRODUCER send messages
    CONSUMER process deliveries
      CLIENT POST"""
TRIED_AGAIN = """\
CONSUMER process deliveries
  CLIENT POST"""


def test_a_message_is_one_trace_found_by_its_id(stack: Stack, story: Story) -> None:
    (spans,) = eventually(lambda: _traces(stack, story.prompt, spans=4))

    assert shape(spans) == DELIVERED_AT_ONCE


def test_every_span_of_a_delivery_can_be_found_by_what_it_is_about(stack: Stack, story: Story) -> None:
    (spans,) = eventually(lambda: _traces(stack, story.prompt, spans=4))

    ours = [span for span in spans if span.name in {"process deliveries", "POST"}]

    for name in ("relevo.message.id", "relevo.endpoint.id", "relevo.attempt", "relevo.correlation_id"):
        assert len({span.tags[name] for span in ours}) == 1


def test_a_second_attempt_is_a_trace_of_its_own_linked_to_the_first(stack: Stack, story: Story) -> None:
    accept, retry = eventually(lambda: _traces(stack, story.retried, spans=6))

    assert shape(accept) == DELIVERED_AT_ONCE
    assert shape(retry) == TRIED_AGAIN
    assert accept[0].trace in retry[0].links
    assert [span.tags["relevo.attempt"] for span in (accept[-1], retry[-1])] == [1, 2]


def test_a_resend_is_a_trace_of_its_own_linked_to_the_accept_with_the_attempt_before(
    stack: Stack, story: Story
) -> None:
    accept, asked, resend = eventually(lambda: _complete(stack, story.resent, traces=3))

    assert shape(accept) == DELIVERED_AT_ONCE
    assert shape(resend) == TRIED_AGAIN
    assert resend[0].links == (accept[0].trace, accept[0].trace)
    assert resend[0].tags["relevo.task.id"] in {span.tags.get("relevo.task.id") for span in asked}


def test_the_failing_delivery_of_an_alert_leads_to_the_request_behind_it_and_to_its_lines(
    stack: Stack, story: Story
) -> None:
    search = {"relevo_verdict": "exhausted", "relevo_message_id": story.given_up}
    (given_up,) = eventually(lambda: traces_of(stack.jaeger, **search))
    tags = given_up[0].tags

    told = traces_of(stack.jaeger, relevo_message_id=tags["relevo.message.id"])
    accept = next(spans for spans in told if spans[0].kind == "SERVER")
    lines = eventually(lambda: _lines_of(stack, accept[0].trace, at_least=2))

    assert len(told) == ATTEMPTS
    assert accept[0].trace in given_up[0].links
    request = next(line for line in lines if line["body"]["stringValue"] == "request.finished")
    for key, tag in {"message_id": "message", "org_id": "org", "app_id": "app"}.items():
        assert _attribute(request, key) == tags[f"relevo.{tag}.id"]
    assert (
        _attribute(request, "correlation_id")
        == tags["relevo.correlation_id"]
        == accept[0].tags["relevo.correlation_id"]
    )


@pytest.mark.parametrize("search", [*runbook_searches(), "error=true", "otel.status_code=ERROR"])
def test_a_search_of_the_runbook_finds_something(stack: Stack, story: Story, search: str) -> None:
    (spans,) = eventually(lambda: _traces(stack, story.prompt, spans=4))
    happened = {
        # Nothing here is refused for want of room.
        "http.response.status_code=503": "http.response.status_code=202",
        "<instance>": _resource_in_jaeger(stack, spans[0].trace)["service.instance.id"],
        "<endpoint_id>": str(spans[-1].tags["relevo.endpoint.id"]),
        "<correlation_id>": str(spans[0].tags["relevo.correlation_id"]),
    }
    for words, those in happened.items():
        search = search.replace(words, those)

    tags = dict(tag.split("=") for tag in search.split())

    eventually(lambda: found_by(stack.jaeger, tags), else_tell=lambda: search)


@pytest.mark.parametrize("by", ["trace", "correlation id"])
def test_the_runbooks_filter_finds_the_lines_of_a_message_in_the_collectors_batches(
    stack: Stack, story: Story, by: str
) -> None:
    (spans,) = eventually(lambda: _traces(stack, story.prompt, spans=4))
    wanted = spans[0].trace if by == "trace" else str(spans[0].tags["relevo.correlation_id"])
    eventually(lambda: _lines_of(stack, spans[0].trace, at_least=2))

    lines = _filtered(wanted, stack.logs.read_text())

    assert {line["trace_id"] for line in lines} == {spans[0].trace}
    assert {line["message_id"] for line in lines if line["event"] == "delivery.attempted"} == {story.prompt}
    assert {line["event"] for line in lines} >= {"delivery.attempted", "request.finished"}


def test_the_runbooks_filter_reads_what_a_process_wrote_as_well() -> None:
    written = [{"event": "one", "trace_id": "a"}, {"event": "two", "correlation_id": "a"}, {"event": "three"}]

    lines = _filtered("a", "\n".join(map(json.dumps, written)))

    assert lines == written[:2]


def _filtered(wanted: str, text: str) -> list[dict[str, Any]]:
    """What the runbook's command makes of lines."""
    command = ["jq", "-c", "--arg", "id", wanted, "-f", str(ROOT / "deploy" / "lines.jq")]
    output = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def test_the_log_lines_of_a_message_carry_its_trace(stack: Stack, story: Story) -> None:
    (spans,) = eventually(lambda: _traces(stack, story.prompt, spans=4))

    lines = eventually(lambda: _lines_of(stack, spans[0].trace, at_least=2))

    assert {"delivery.attempted", "request.finished"} <= {line["body"]["stringValue"] for line in lines}


def test_all_three_signals_have_the_same_resource(stack: Stack, story: Story) -> None:
    (spans,) = eventually(lambda: _traces(stack, story.prompt, spans=4))

    in_spans = _resource_in_jaeger(stack, spans[0].trace)
    instance = in_spans["service.instance.id"]
    in_logs = eventually(lambda: _resources_in_logs(stack).get(instance))
    (in_metrics,) = eventually(lambda: _series(stack, f'target_info{{instance="{instance}"}}'))

    assert in_logs == in_spans
    assert in_metrics == _as_prometheus_has_it(in_spans)


def test_prometheus_has_the_metrics_under_the_names_of_the_metrics_page(
    stack: Stack, relevo: Relevo, story: Story
) -> None:
    assert story.prompt
    lines = httpx.get(f"{relevo.url}/metrics", trust_env=False).text.splitlines()
    scraped = {line.partition("{")[0].partition(" ")[0] for line in lines if line and not line.startswith("#")}

    assert any(name.startswith("relevo_delivery_attempt_duration_seconds") for name in scraped)
    eventually(lambda: scraped <= set(_names(stack)))


def test_span_metrics_know_the_route(stack: Stack, story: Story) -> None:
    assert story.prompt

    found = eventually(lambda: _series(stack, 'traces_span_metrics_calls_total{span_kind="SPAN_KIND_SERVER"}'))

    assert "/api/v1/app/{app_id}/msg" in {series.get("http_route") for series in found}


def test_an_exemplar_leads_to_a_trace(stack: Stack, story: Story) -> None:
    assert story.prompt
    query = {"query": "relevo_delivery_attempt_duration_seconds_bucket", "start": "0", "end": "9999999999"}

    found = eventually(lambda: _get(f"{stack.prometheus}/api/v1/query_exemplars?{urlencode(query)}")["data"])
    traces = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}

    assert all(_get(f"{stack.jaeger}/api/traces/{trace}")["data"] for trace in traces)


def test_prometheus_runs_the_rules_without_complaint(stack: Stack, story: Story) -> None:
    assert story.prompt

    groups = _get(f"{stack.prometheus}/api/v1/rules")["data"]["groups"]

    assert groups
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}


def _traces(stack: Stack, message: str, *, spans: int) -> list[list[Span]]:
    """All that Jaeger has of a message, once that is as many spans as it should be."""
    found = traces_of(stack.jaeger, relevo_message_id=message)
    return found if sum(map(len, found)) >= spans else []


def _complete(stack: Stack, message: str, *, traces: int) -> list[list[Span]]:
    """All that Jaeger has of a message, once that is as many traces as it should be, each with its root."""
    found = traces_of(stack.jaeger, relevo_message_id=message)
    return found if sum(spans[0].parent is None for spans in found) >= traces else []


def _lines_of(stack: Stack, trace: str, *, at_least: int) -> list[dict[str, Any]]:
    found = [record for record in _records(stack) if record.get("traceId") == trace]
    return found if len(found) >= at_least else []


def _attribute(record: dict[str, Any], key: str) -> str | None:
    found = [field["value"]["stringValue"] for field in record["attributes"] if field["key"] == key]
    return found[0] if found else None


def _records(stack: Stack) -> list[dict[str, Any]]:
    return [record for each in _resources(stack) for scope in each["scopeLogs"] for record in scope["logRecords"]]


def _resources_in_logs(stack: Stack) -> dict[str, dict[str, str]]:
    """By instance."""
    found = [
        {field["key"]: str(*field["value"].values()) for field in each["resource"]["attributes"]}
        for each in _resources(stack)
    ]
    return {resource["service.instance.id"]: resource for resource in found}


def _resources(stack: Stack) -> list[dict[str, Any]]:
    lines = stack.logs.read_text().splitlines() if stack.logs.exists() else []
    return [each for line in lines for each in json.loads(line)["resourceLogs"]]


def _resource_in_jaeger(stack: Stack, trace: str) -> dict[str, str]:
    (process,) = _get(f"{stack.jaeger}/api/traces/{trace}")["data"][0]["processes"].values()
    return {"service.name": process["serviceName"], **{tag["key"]: str(tag["value"]) for tag in process["tags"]}}


def _as_prometheus_has_it(resource: dict[str, str]) -> dict[str, str]:
    """What names a resource is two labels, the rest a label each."""
    rest = dict(resource)
    name, namespace, instance = (rest.pop(f"service.{part}") for part in ("name", "namespace", "instance.id"))
    labels = {key.replace(".", "_"): value for key, value in rest.items()}
    return {"__name__": "target_info", "job": f"{namespace}/{name}", "instance": instance, **labels}


def _series(stack: Stack, selector: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = _get(f"{stack.prometheus}/api/v1/series?{urlencode({'match[]': selector})}")["data"]
    return found


def _names(stack: Stack) -> list[str]:
    names: list[str] = _get(f"{stack.prometheus}/api/v1/label/__name__/values")["data"]
    return names


def _get(url: str) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(url, trust_env=False).raise_for_status().json()
    return document
