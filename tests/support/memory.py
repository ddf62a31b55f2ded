"""The repositories that tests of use cases need, in memory, held to the same contracts as those in PostgreSQL."""

from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from service.application.ports.pages import ApplicationFilter, Page, PageRequest
from service.application.ports.repositories import EVERY_APPLICATION
from service.domain.applications import Application
from service.domain.endpoints import Endpoint
from service.domain.errors import Conflict, EventTypeExists, NotFound
from service.domain.event_types import EventType
from service.domain.ids import ApplicationId, EndpointId, OrgId
from service.domain.signatures import Secret

T = TypeVar("T")


@dataclass(slots=True)
class Rows:
    """Everything that is kept."""

    applications: dict[str, Application] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    secrets: dict[str, tuple[Secret, ...]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    event_types: dict[tuple[str, str], EventType] = field(default_factory=dict)


class MemoryStore:
    """What outlives a unit of work."""

    def __init__(self) -> None:
        self.committed = Rows()

    def begin(self) -> "MemoryUnitOfWork":
        """A unit of work on a copy of what is committed."""
        return MemoryUnitOfWork(self)


class MemoryUnitOfWork:
    """Changes a copy, and puts it in place when it commits. Two at a time are not told apart."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        rows = deepcopy(store.committed)
        self._rows = rows
        self.applications = MemoryApplications(rows)
        self.endpoints = MemoryEndpoints(rows)
        self.event_types = MemoryEventTypes(rows)

    async def commit(self) -> None:
        self._store.committed = self._rows

    async def rollback(self) -> None:
        self._rows = self._store.committed


class MemoryApplications:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, org_id: OrgId, ref: str, *, lock: bool = False) -> Application | None:
        return next((found for found in self._of(org_id) if ref in {found.id, found.uid}), None)

    async def page(
        self, org_id: OrgId, page: PageRequest, *, left_out: ApplicationFilter = EVERY_APPLICATION
    ) -> Page[Application]:
        wanted = [found for found in self._of(org_id) if not self._is_left_out(found, left_out)]
        return _page(wanted, page, lambda application: application.id)

    def _is_left_out(self, application: Application, left_out: ApplicationFilter) -> bool:
        disabled = [found.disabled for found in self._rows.endpoints.values() if found.app_id == application.id]
        if not disabled:
            return left_out.without_endpoints
        return left_out.all_disabled and all(disabled)

    async def add(self, application: Application) -> None:
        self._refuse_taken(application)
        self._rows.applications[application.id] = application

    async def replace(self, application: Application) -> None:
        if application.id not in self._rows.applications:
            raise NotFound
        self._refuse_taken(application)
        self._rows.applications[application.id] = application

    async def delete(self, application: Application, *, at: datetime) -> None:
        del self._rows.applications[application.id]
        for endpoint in [found for found in self._rows.endpoints.values() if found.app_id == application.id]:
            del self._rows.endpoints[endpoint.id]

    def _of(self, org_id: OrgId) -> list[Application]:
        return [found for found in self._rows.applications.values() if found.org_id == org_id]

    def _refuse_taken(self, application: Application) -> None:
        others = [found for found in self._of(application.org_id) if found.id != application.id]
        if application.uid and application.uid in {other.uid for other in others}:
            raise Conflict


class MemoryEndpoints:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.forgiven: list[EndpointId] = []

    async def get(self, app_id: ApplicationId, ref: str, *, lock: bool = False) -> Endpoint | None:
        return next((found for found in self._of(app_id) if ref in {found.id, found.uid}), None)

    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[Endpoint]:
        return _page(self._of(app_id), page, lambda endpoint: endpoint.id)

    async def add(self, endpoint: Endpoint, secrets: Sequence[Secret], headers: dict[str, str]) -> None:
        self._refuse_taken(endpoint)
        self._rows.endpoints[endpoint.id] = endpoint
        self._rows.secrets[endpoint.id] = tuple(secrets)
        self._rows.headers[endpoint.id] = headers

    async def replace(self, endpoint: Endpoint) -> None:
        if endpoint.id not in self._rows.endpoints:
            raise NotFound
        self._refuse_taken(endpoint)
        self._rows.endpoints[endpoint.id] = endpoint

    async def forget_failures(self, endpoint: Endpoint) -> None:
        self.forgiven.append(endpoint.id)

    async def delete(self, endpoint: Endpoint, *, at: datetime) -> None:
        del self._rows.endpoints[endpoint.id]

    async def secrets(self, endpoint_id: EndpointId, *, lock: bool = False) -> tuple[Secret, ...]:
        return self._rows.secrets[endpoint_id]

    async def keep_secrets(self, endpoint_id: EndpointId, secrets: Sequence[Secret]) -> None:
        self._rows.secrets[endpoint_id] = tuple(secrets)

    async def headers(self, endpoint_id: EndpointId, *, lock: bool = False) -> dict[str, str]:
        return self._rows.headers[endpoint_id]

    async def keep_headers(self, endpoint_id: EndpointId, headers: dict[str, str]) -> None:
        self._rows.headers[endpoint_id] = headers

    def _of(self, app_id: ApplicationId) -> list[Endpoint]:
        return [found for found in self._rows.endpoints.values() if found.app_id == app_id]

    def _refuse_taken(self, endpoint: Endpoint) -> None:
        others = [found for found in self._of(endpoint.app_id) if found.id != endpoint.id]
        if endpoint.uid and endpoint.uid in {other.uid for other in others}:
            raise Conflict


class MemoryEventTypes:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, org_id: OrgId, name: str, *, lock: bool = False) -> EventType | None:
        return self._rows.event_types.get((org_id, name))

    async def page(
        self,
        org_id: OrgId,
        page: PageRequest,
        *,
        include_archived: bool,
        flags: Collection[str] | None = None,
        with_content: bool = True,
    ) -> Page[EventType]:
        found = [kept for kept in self._rows.event_types.values() if kept.org_id == org_id]
        shown = [kept for kept in found if (include_archived or not kept.archived) and kept.is_visible(flags)]
        found = shown if with_content else [replace(kept, schemas=None) for kept in shown]
        return _page(found, page, lambda event_type: event_type.name)

    async def named(self, org_id: OrgId, names: Sequence[str], *, lock: bool = False) -> Page[EventType]:
        found = [kept for kept in self._rows.event_types.values() if kept.org_id == org_id and kept.name in names]
        return Page(items=sorted(found, key=lambda kept: kept.name), done=True)

    async def unknown(self, org_id: OrgId, names: Sequence[str]) -> list[str]:
        return [name for name in names if not self._lives(org_id, name)]

    async def add(self, event_type: EventType) -> None:
        if self._lives(event_type.org_id, event_type.name):
            raise EventTypeExists
        self._rows.event_types[event_type.org_id, event_type.name] = event_type

    async def replace(self, event_type: EventType) -> None:
        if (event_type.org_id, event_type.name) not in self._rows.event_types:
            raise NotFound
        self._rows.event_types[event_type.org_id, event_type.name] = event_type

    async def delete(self, event_type: EventType) -> None:
        self._rows.event_types.pop((event_type.org_id, event_type.name), None)

    async def put(self, org_id: OrgId, event_types: Sequence[EventType]) -> None:
        for new in event_types:
            known = self._rows.event_types.get((org_id, new.name), new)
            self._rows.event_types[org_id, new.name] = replace(new, created_at=known.created_at)

    async def archive(self, org_id: OrgId, names: Sequence[str], *, at: datetime) -> None:
        for known in [kept for kept in self._rows.event_types.values() if kept.org_id == org_id and kept.name in names]:
            self._rows.event_types[org_id, known.name] = replace(known, archived=True, updated_at=at)

    def _lives(self, org_id: OrgId, name: str) -> bool:
        kept = self._rows.event_types.get((org_id, name))
        return kept is not None and not kept.archived


def _page(items: Sequence[T], page: PageRequest, key: Callable[[T], str]) -> Page[T]:
    upwards = page.ascending != page.backwards
    ordered = sorted(items, key=key, reverse=not upwards)
    after = page.after
    if after is not None:
        ordered = [item for item in ordered if (key(item) > after if upwards else key(item) < after)]
    shown = ordered[: page.limit]
    if page.backwards:
        shown.reverse()
    return Page(items=shown, done=len(ordered) <= page.limit)
