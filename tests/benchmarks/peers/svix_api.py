"""The API of Svix, which Relevo speaks as well: how a scenario is set up, and how a message is sent."""

import base64
from dataclasses import dataclass
from typing import Any

import httpx

from tests.benchmarks import invoice, wire
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.peers.scenarios import Scenario

SECRET = f"whsec_{base64.b64encode(SIGNING_KEY).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SvixApi:
    """A server at that address."""

    url: str
    token: str

    def prepare(self, scenario: Scenario, receiver: str) -> list[str]:
        """Make the applications and their endpoints. The requests to send, one for each kind of message."""
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30) as client:
            for name in scenario.event_types:
                _post(client, "/api/v1/event-type", {"name": name, "description": "of a benchmark"})
            apps = [self._application(client, scenario, f"{receiver}/{nth}") for nth in range(scenario.applications)]
        return [self._message(app_id, name) for app_id in apps for name in scenario.event_types]

    def _application(self, client: httpx.Client, scenario: Scenario, receiver: str) -> str:
        app_id = _post(client, "/api/v1/app", {"name": "benchmark"})["id"]
        for nth, wanted in enumerate(scenario.wanted):
            endpoint = {"url": f"{receiver}/{nth}", "version": 1, "filterTypes": [wanted], "secret": SECRET}
            _post(client, f"/api/v1/app/{app_id}/endpoint", endpoint)
        return str(app_id)

    def _message(self, app_id: str, event_type: str) -> str:
        body = f'{{"eventType": "{event_type}", "payload": {invoice.written(at=wire.STAMP)}}}'
        return wire.post(f"/api/v1/app/{app_id}/msg", body, token=self.token)


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(path, json=body)
    if answer.status_code != httpx.codes.CONFLICT:  # an event type that is known from before
        answer.raise_for_status()
    return answer.json()
