"""The table from each kind of destination to its sender, and the object that makes attempts with it."""

from datetime import timedelta

from httpx import AsyncClient

from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.sender import HttpSender
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.application.ports.destinations import Senders
from service.delivery.attempts import Attempts
from service.domain.destinations import HttpDestination
from service.domain.signatures import Signing
from service.observability.deliveries import DeliveryTelemetry
from service.settings import Settings


def senders(client: AsyncClient, *, timeout: float, egress: Egress) -> Senders:
    """The sender of each kind of destination. `timeout` is in seconds and bounds a whole attempt."""
    return {
        HttpDestination: HttpSender(client, timeout=timeout, egress=egress),
    }


def attempts(client: AsyncClient, *, settings: Settings, egress: Egress, telemetry: DeliveryTelemetry) -> Attempts:
    """Makes attempts, for the engine and for `send-example`, with the signatures and retry schedule of the settings."""
    delivery = settings.delivery
    return Attempts(
        senders=senders(client, timeout=delivery.attempt_timeout, egress=egress),
        clock=SystemClock(),
        new_id=new_id,
        telemetry=telemetry,
        schedule=tuple(timedelta(seconds=seconds) for seconds in delivery.retry_schedule),
        signing=Signing(families=delivery.signature_headers, ed25519=Ed25519().sign),
    )
