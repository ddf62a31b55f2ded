"""An organisation that is worth looking at: a customer with a healthy, a flaky and a broken receiver, and another one
who writes words without an end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.stack.relevo import Relevo, eventually
from tests.support.patience import patient

OPERATOR, CUSTOMER, STRANGER = "operator", "customer", "stranger"
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2
INVOICE = {
    "invoice": "2026-0042",
    "customer": {"id": "c_2041", "name": "Harbour & Sons"},
    "lines": [{"text": "Mooring, per night", "quantity": 3, "amount": "84.00"}],
    "total": "252.00",
}
SCHEMA = {
    "type": "object",
    "title": "An invoice was paid",
    "required": ["invoice", "total"],
    "properties": {
        "invoice": {"type": "string", "description": "Its number.", "examples": ["2026-0042"]},
        "total": {"type": "string", "description": "What was paid.", "examples": ["252.00"]},
    },
}


class Api:
    """Relevo's API as its organisation's backend calls it, and a receiver that misbehaves as a path says."""

    def __init__(self, relevo: Relevo, receiver: str) -> None:
        headers = {"authorization": f"Bearer {relevo.token}"}
        self.relevo = relevo
        self.receiver = receiver
        self._client = httpx.Client(
            base_url=f"{relevo.url}/api/v1", headers=headers, trust_env=False, timeout=patient(10)
        )

    def make(self, path: str, **body: object) -> Any:
        """What comes back of a POST."""
        answer = self._client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """What is there."""
        answer = self._client.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def application(self, **fields: object) -> str:
        """A new application's id."""
        return str(self.make("/app", **fields)["id"])

    def endpoint(self, app_id: str, behaviour: str, **fields: object) -> str:
        """The id of a new endpoint of it whose receiver behaves so."""
        return str(self.make(f"/app/{app_id}/endpoint", url=f"{self.receiver}{behaviour}", **fields)["id"])

    def message(self, app_id: str, **fields: object) -> str:
        """The id of a new message to it."""
        given = {"eventType": "invoice.paid", "payload": INVOICE}
        return str(self.make(f"/app/{app_id}/msg", **{**given, **fields})["id"])

    def imported(self, app_id: str, lines: bytes) -> str:
        """The id of an import of a file."""
        answer = self._client.post(f"/app/{app_id}/msg/import", content=lines)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def attempts(self, app_id: str, msg_id: str) -> list[dict[str, Any]]:
        """The attempts of a message, latest first."""
        found: list[dict[str, Any]] = self.get(f"/app/{app_id}/attempt/msg/{msg_id}")["data"]
        return found

    def attempted(self, app_id: str, msg_id: str, *, times: int) -> None:
        """Wait until so many attempts were made."""
        until(lambda: len(self.attempts(app_id, msg_id)) >= times)

    def portal_token(self, app_id: str) -> str:
        """A token of its customer."""
        return str(self.make(f"/auth/app-portal-access/{app_id}")["token"])

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What there is to be seen: ids by the names that addresses of pages have for them, and a token for each role."""

    url: str
    ids: Mapping[str, str]
    tokens: Mapping[str, str]

    def address(self, path: str) -> str:
        """Where a page is."""
        return f"{self.url}/console{path.format_map(self.ids)}"


def told(api: Api) -> Story:
    """Make it, and wait until what is going to happen soon has happened."""
    api.make("/event-type", name="invoice.paid", description="An invoice was paid.", schemas={"1": SCHEMA})
    long_type = LONG.replace("ä", "ae")
    nested = {"type": "object", "properties": {LONG: {"type": "object", "description": LONG, "properties": {LONG: {}}}}}
    api.make("/event-type", name=long_type, description=LONG * 3, schemas={"1": nested, "2": True}, deprecated=True)
    api.make("/event-type", name="invoice.sent", description="An invoice was sent.")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    app = api.application(name="Harbour & Sons", uid="harbour")
    healthy = api.endpoint(app, "/ok", description="Bookkeeping", uid="harbour")
    flaky = api.endpoint(app, "/fail/1", description="Warehouse", filterTypes=["invoice.paid"])
    broken = api.endpoint(app, "/status/500", description="An old system")
    gone = api.endpoint(app, "/gone", description="One that was given up", filterTypes=["invoice.sent"])
    to_the_same = {"url": f"{api.receiver}/status/500"}
    made = api.make(f"/app/{app}/destination", type="fifoEndpoint", config=to_the_same, uid="ledger")
    api.make(f"/app/{app}/destination", type="pollingEndpoint", config={}, status="paused")
    message = api.message(app, eventId="2026-0042", tags=["paid"])
    api.attempted(app, message, times=6)
    api.message(app, eventType="invoice.sent")
    task = api.make(f"/app/{app}/endpoint/{broken}/recover", since=f"{yesterday}:00Z")["id"]
    imported = api.imported(app, b'{"eventType": "invoice.paid", "payload": {}}\nnot a message\n')
    for _ in range(12):
        api.message(app)
    long_app = api.application(name=LONG, uid="u" * 64)
    long_endpoint = api.endpoint(long_app, f"/ok/{'x' * 200}", description=LONG)
    long_message = api.message(long_app, payload={LONG: LONG * 9}, eventId="e" * 64)
    api.attempted(long_app, long_message, times=1)
    until(lambda: api.get(f"/app/{app}/endpoint/{gone}")["disabled"])
    return Story(
        url=api.relevo.url,
        ids={
            "app": app,
            "message": message,
            "healthy": healthy,
            "flaky": flaky,
            "broken": broken,
            "gone": gone,
            "destination": made["id"],
            "task": task,
            "import": imported,
            "yesterday": yesterday,
            "long_app": long_app,
            "long_endpoint": long_endpoint,
            "long_message": long_message,
            "long_type": long_type,
        },
        tokens={OPERATOR: api.relevo.token, CUSTOMER: api.portal_token(app)},
    )


def until(holds: Callable[[], bool]) -> None:
    """Wait for it."""
    eventually(lambda: holds() or None)
