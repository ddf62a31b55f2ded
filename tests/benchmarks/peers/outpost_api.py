"""The API of Outpost: a tenant is an application, a destination an endpoint, a topic an event type."""

import time
from dataclasses import dataclass

import httpx

from tests.benchmarks import invoice, wire
from tests.benchmarks.peers.scenarios import Scenario
from tests.benchmarks.peers.svix_api import SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class OutpostApi:
    """A server at that address, whose `TOPICS` are configured beforehand."""

    url: str
    token: str

    def prepare(self, scenario: Scenario, receiver: str) -> list[str]:
        """Make the tenants and their destinations. The requests to send, one for each kind of message."""
        tenants = [f"bench_{time.time_ns()}_{nth}" for nth in range(scenario.applications)]
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30) as client:
            for nth, tenant in enumerate(tenants):
                client.put(f"/api/v1/tenants/{tenant}").raise_for_status()
                for number, wanted in enumerate(scenario.wanted):
                    destination = {
                        "type": "webhook",
                        "topics": [wanted],
                        "config": {"url": f"{receiver}/{nth}/{number}"},
                        "credentials": {"secret": SECRET},
                    }
                    client.post(f"/api/v1/tenants/{tenant}/destinations", json=destination).raise_for_status()
        return [self._event(tenant, topic) for tenant in tenants for topic in scenario.event_types]

    def _event(self, tenant: str, topic: str) -> str:
        body = f'{{"tenant_id": "{tenant}", "topic": "{topic}", "data": {invoice.written(at=wire.STAMP)}}}'
        return wire.post("/api/v1/publish", body, token=self.token)
