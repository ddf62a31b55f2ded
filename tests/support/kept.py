"""Applications, endpoints, ordered destinations and event types as they are kept; what a test does not name does not
matter to it."""

from datetime import UTC, datetime
from typing import Any

from service.adapters.machine.clock import new_id
from service.domain import ids
from service.domain.applications import Application
from service.domain.destinations import HttpDestination
from service.domain.endpoints import Endpoint
from service.domain.event_types import EventType
from service.domain.ids import ApplicationId, DestinationId, EndpointId
from service.domain.ordered import OrderedDestination
from service.domain.sinks import FifoSink
from tests.support.factories import ORG

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_application(**changed: Any) -> Application:
    """An application."""
    values: dict[str, Any] = {
        "id": ApplicationId(new_id(ids.APPLICATION)),
        "org_id": ORG,
        "name": "an application",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Application(**(values | changed))


def an_endpoint(application: Application, **changed: Any) -> Endpoint:
    """An endpoint of the application."""
    values: dict[str, Any] = {
        "id": EndpointId(new_id(ids.ENDPOINT)),
        "app_id": application.id,
        "org_id": application.org_id,
        "destination": HttpDestination(url="http://127.0.0.1:9/"),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Endpoint(**(values | changed))


def an_ordered_destination(application: Application, **changed: Any) -> OrderedDestination:
    """An ordered destination of the application, from the start of its stream on."""
    values: dict[str, Any] = {
        "id": DestinationId(new_id(ids.DESTINATION)),
        "app_id": application.id,
        "org_id": application.org_id,
        "sink": FifoSink(url="http://127.0.0.1:9/"),
        "created_at": NOW,
        "updated_at": NOW,
        "due_at": NOW,
        "position": 0,
    }
    return OrderedDestination(**(values | changed))


def an_event_type(name: str = "invoice.paid", **changed: Any) -> EventType:
    """An event type."""
    values: dict[str, Any] = {
        "org_id": ORG,
        "name": name,
        "description": "",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return EventType(**(values | changed))
