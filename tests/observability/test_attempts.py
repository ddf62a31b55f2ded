"""Attempts at real receivers, good and bad, as a collector sees them."""

import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.sender import HttpSender
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.application.ports.destinations import Sender
from service.delivery.attempts import Attempts
from service.domain.deliveries import Claim, Trigger
from service.domain.destinations import HttpDestination
from service.domain.signatures import Signing
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import Telemetry
from tests.delivery.test_attempts import Broken
from tests.support.certificates import NO_AUTHORITIES, self_signed
from tests.support.factories import a_claim
from tests.support.otlp import Collector
from tests.support.patience import patient
from tests.support.receiver import Receiver, running_receiver
from tests.support.signals import Point

LOCAL = Egress([ip_network("127.0.0.0/8")])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def client(telemetry: Telemetry) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http_client(LOCAL, concurrency=4, ssl_context=NO_AUTHORITIES, metrics=telemetry.metrics) as client:
        yield client


@pytest.fixture
async def places(receiver: Receiver, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """URLs of a receiver, of one whose certificate nobody trusts, and of a port that nobody listens on."""
    server, _ = self_signed(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    async with running_receiver(server) as untrusted:
        yield {"receiver": receiver.url, "untrusted": untrusted.url, "nobody": nobody}


def sending(client: httpx.AsyncClient) -> HttpSender:
    return HttpSender(client, timeout=patient(20), egress=LOCAL)


async def attempt(telemetry: Telemetry, sender: Sender[HttpDestination], claim: Claim) -> None:
    attempts = Attempts(
        senders={HttpDestination: sender},
        clock=SystemClock(),
        new_id=new_id,
        telemetry=DeliveryTelemetry(telemetry),
        schedule=(timedelta(seconds=5),),
        signing=Signing(families=("webhook",), ed25519=Ed25519().sign),
    )
    await attempts.make(claim)


@pytest.mark.parametrize(
    ("url", "error_type"),
    [
        ("{receiver}/status/200", None),
        ("{receiver}/status/302", "3xx"),
        ("{receiver}/status/404", "4xx"),
        ("{receiver}/status/503", "5xx"),
        ("{nobody}/", "connect"),
        ("http://nobody.invalid/", "dns"),
        ("{untrusted}/ok", "tls"),
        ("{receiver}/silence", "timeout"),
        ("{receiver}/reset", "reset"),
        ("{receiver}/garbage", "malformed_answer"),
        ("http://10.0.0.1/", "egress_refused"),
        ("http://[nonsense/", "dns"),
    ],
)
async def test_whatever_comes_of_an_attempt_is_one_point_with_the_error_type_of_its_spans(
    telemetry: Telemetry,
    collector: Collector,
    places: dict[str, str],
    *,
    url: str,
    error_type: str | None,
) -> None:
    async with open_http_client(LOCAL, concurrency=4) as client:
        sender = HttpSender(client, timeout=0.2 if error_type == "timeout" else patient(20), egress=LOCAL)
        await attempt(telemetry, sender, a_claim(url=url.format(**places)))

    assert_one(collector, error_type)


async def test_a_fault_of_ours_is_one_point_with_the_error_type_internal(
    telemetry: Telemetry, collector: Collector
) -> None:
    await attempt(telemetry, Broken(), a_claim())

    assert_one(collector, "internal")
    assert b"marker" not in collector.everything


@pytest.mark.parametrize(
    ("answer", "claim", "counted"),
    [
        ("status/410", {}, {"gone": 1}),
        ("status/500", {"attempt": 2}, {"attempts_used_up": 1}),
        ("status/500", {}, {}),
        ("ok", {}, {}),
        ("status/410", {"trigger": Trigger.MANUAL, "resend": "task_1"}, {}),
    ],
)
async def test_a_scheduled_delivery_that_is_given_up_is_counted_by_its_reason_whichever_way_it_ends(
    telemetry: Telemetry,
    collector: Collector,
    client: httpx.AsyncClient,
    receiver: Receiver,
    *,
    answer: str,
    claim: dict[str, Any],
    counted: dict[str, int],
) -> None:
    await attempt(telemetry, sending(client), a_claim(url=f"{receiver.url}/{answer}", **claim))

    # An export may come between the two counts.
    collector.wait_for(lambda seen: bool(points(seen)) and len(given_up(seen)) >= len(counted))
    assert {str(dict(point.labels)["reason"]): point.value for point in given_up(collector)} == counted


def assert_one(collector: Collector, error_type: str | None) -> None:
    """One point and two spans, which say the same."""
    collector.wait_for(lambda seen: len(seen.spans) == 2 and bool(points(seen)))
    (point,) = points(collector)
    assert point.value == 1
    assert dict(point.labels).get("error.type") == error_type
    assert {span.attributes.get("error.type") for span in collector.spans} == {error_type}
    assert {span.failed for span in collector.spans} == {error_type is not None}


async def test_the_call_tells_of_lookup_connection_and_first_byte_and_whether_it_was_open_already(
    telemetry: Telemetry, collector: Collector, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    by_name = a_claim(url=receiver.url.replace("127.0.0.1", "localhost") + "/ok/marker?token=marker")

    for _ in range(2):
        await attempt(telemetry, sending(client), by_name)

    collector.wait_for(lambda seen: len(seen.spans) == 4)
    first, second = [span for span in collector.spans if span.kind == "CLIENT"]
    assert first.events == ("connect.start", "dns.start", "dns.end", "connect.end", "first_byte")
    assert second.events == ("first_byte",)
    assert (first.attributes.get("relevo.connection.reused"), second.attributes["relevo.connection.reused"]) == (
        None,
        True,
    )
    assert b"marker" not in collector.everything


async def test_the_call_tells_of_its_handshake(telemetry: Telemetry, collector: Collector, tmp_path: Path) -> None:
    server, trusting = self_signed(tmp_path)

    async with (
        running_receiver(server) as receiver,
        open_http_client(LOCAL, concurrency=4, ssl_context=trusting) as client,
    ):
        await attempt(telemetry, sending(client), a_claim(url=f"{receiver.url}/ok"))

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    assert collector.span("POST").events == ("connect.start", "tls.start", "tls.end", "connect.end", "first_byte")


async def test_connections_to_receivers_and_lookups_are_pools_that_are_measured(
    telemetry: Telemetry, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await attempt(telemetry, sending(client), a_claim(url=receiver.url.replace("127.0.0.1", "localhost") + "/ok"))

    measured = {pool: size(telemetry, pool) for pool in ("http", "dns")}
    assert measured == {"http": 4 + 32, "dns": 32}
    assert telemetry.registry.get_sample_value("relevo_pool_wait_seconds_count", {"pool": "dns"}) == 1


def size(telemetry: Telemetry, pool: str) -> float | None:
    return telemetry.registry.get_sample_value("relevo_pool_size", {"pool": pool})


def given_up(collector: Collector) -> list[Point]:
    return [point for point in collector.points if point.metric == "relevo.delivery.exhausted"]


def points(collector: Collector) -> list[Point]:
    return [point for point in collector.points if point.metric == "relevo.delivery.attempt.duration"]
