"""A walk over every operation of the document, with a body that each of them takes, past one of each kind of thing."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.adapters.postgres.server.database import Database
from tests.support.operations import settled

HEALTH = {"v1.health.get", "v1.health.ping"}
ENDLESS = {"v1.message-attempt.tail"}
HIDDEN = "ours alone"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
FITS_ALL: dict[str, Any] = {
    "name": "another",
    "url": "http://127.0.0.1:9/",
    "description": "d",
    "eventType": "known",
    "payload": {"n": 1},
    "headers": {},
    "since": YESTERDAY.isoformat(),
    "until": (YESTERDAY + timedelta(hours=12)).isoformat(),
    "role": "reader",
    "type": "fifoEndpoint",
    "config": {"url": "http://127.0.0.1:9/"},
    "after": YESTERDAY.isoformat(),
    "nats": {"servers": ["nats://127.0.0.1:9"], "stream": "EVENTS"},
    "spec": {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": {}},
}

Things = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: str

    @property
    def names_a_thing(self) -> bool:
        """Whether its path names something that belongs to somebody."""
        return "{" in self.path

    @property
    def names_a_part(self) -> bool:
        """Whether its path names a part of an application."""
        return self.path.count("{") > 1

    async def ask(self, client: AsyncClient, things: Things, **options: Any) -> Response:
        """Ask for these things, with a body that fits."""
        if self.path.startswith("/operational-webhook"):
            things = things | {"endpoint_id": things["operational_id"]}
        if self.method in {"POST", "PUT", "PATCH"}:
            options = {"json": FITS_ALL, **options}
        return await client.request(self.method, self.path.format_map(things), **options)


def operations(app: FastAPI, *, last: str) -> list[Operation]:
    """Each one but the probes: those that only read first, small things before large ones, this method last."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    found = [
        Operation(name=operation["operationId"], method=method.upper(), path=path.removeprefix("/api/v1"))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation["operationId"] not in HEALTH
    ]
    return sorted(
        found, key=lambda operation: (operation.method == last, operation.method != "GET", -len(operation.path))
    )


async def one_of_each(api: AsyncClient, postgres: Database) -> Things:
    """One of each kind of thing, by the names that paths have for them. What they say of themselves is `HIDDEN`."""
    told = {"description": HIDDEN, "url": "http://127.0.0.1:9/"}
    await api.post("/event-type", json={"name": "known", "description": HIDDEN})
    operational = await api.post("/operational-webhook/endpoint", json=told)
    application = (await api.post("/app", json={"name": HIDDEN, "uid": "mine"})).json()["id"]
    endpoint = (await api.post(f"/app/{application}/endpoint", json=told)).json()["id"]
    made = f"/app/{application}/destination"
    destination = await api.post(made, json=FITS_ALL | {"metadata": {"said": HIDDEN}})
    polled = await api.post(made, json={"type": "pollingEndpoint", "metadata": {"said": HIDDEN}})
    sent = await api.post(f"/app/{application}/msg", json={"eventType": "known", "payload": {"said": HIDDEN}})
    await settled(postgres, status=0)
    task = await api.post(f"/app/{application}/endpoint/{endpoint}/recover", json={"since": FITS_ALL["since"]})
    # Which the organisation alone may see: what it counts is of all its applications.
    counted = await api.put("/stats/usage/event-types")
    token = await api.post("/auth/token", json={"name": HIDDEN, "role": "reader"})
    line = b'{"eventType": "known", "payload": {}}\n'
    imported = await api.post(f"/app/{application}/msg/import", content=line)
    source = await api.post("/source", json={"name": HIDDEN, "nats": FITS_ALL["nats"], "application": "mine"})
    message = sent.json()["id"]
    return {
        "app_id": application,
        "endpoint_id": endpoint,
        "destination_id": destination.json()["id"],
        "sink_id": polled.json()["id"],
        "consumer_id": "reader",
        "msg_id": message,
        "attempt_id": message.replace("msg_", "atmpt_"),
        "event_type_name": "known",
        "import_id": imported.json()["id"],
        "operational_id": operational.json()["id"],
        "task_id": task.json()["id"],
        "organisation_task_id": counted.json()["id"],
        "source_id": source.json()["id"],
        "token_id": token.json()["id"],
    }
