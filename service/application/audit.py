"""The audit trail of one organisation: adding to it, and reading it."""

from dataclasses import replace

from service.application.access import Caller
from service.application.ports.machine import NewId
from service.application.ports.pages import AuditFilter, Page, PageRequest
from service.application.ports.repositories import EVERY_EVENT, AuditRepository
from service.domain import ids
from service.domain.audit import AuditEvent
from service.domain.ids import ApplicationId

READ_AT_ONCE = 500


class AuditTrail:
    """Adds the actions of `caller`, and lists those of its organisation."""

    def __init__(self, caller: Caller, events: AuditRepository, *, new_id: NewId, correlation_id: str) -> None:
        self._caller = caller
        self._events = events
        self._new_id = new_id
        self._correlation_id = correlation_id

    async def page(self, page: PageRequest, wanted: AuditFilter = EVERY_EVENT) -> Page[AuditEvent]:
        """One page of it, by time."""
        return await self._events.page(self._caller.org_id, page, wanted)

    async def newest(self, wanted: AuditFilter, *, most: int) -> list[AuditEvent]:
        """At most so many events, newest first, read page by page."""
        events: list[AuditEvent] = []
        page, done = PageRequest(limit=READ_AT_ONCE), False
        while not done and len(events) < most:
            found = await self.page(page, wanted)
            events += found.items
            done = found.done
            if not done:
                page = replace(page, after=found.items[-1].id)
        return events[:most]

    async def add(self, action: str, *, app_id: ApplicationId | None, target: str | None) -> None:
        """Store that the caller did this, in the current transaction."""
        await self._events.add(self.event(action, app_id=app_id, target=target))

    def event(self, action: str, *, app_id: ApplicationId | None, target: str | None) -> AuditEvent:
        """The event that `add` would store."""
        caller = self._caller
        return AuditEvent(
            id=self._new_id(ids.AUDIT_EVENT),
            org_id=caller.org_id,
            action=action,
            actor=caller.app_id or caller.org_id,
            role="application" if caller.app_id else caller.role,
            token_id=caller.credential.id if caller.credential else None,
            app_id=app_id,
            target=target,
            correlation_id=self._correlation_id,
        )
