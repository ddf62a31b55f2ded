"""What can be asked of event types."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.application.ports import Clock, EventTypeRepository, Page, PageRequest
from service.domain.errors import NotFound
from service.domain.event_types import EventType, NewEventType
from service.domain.ids import OrgId


class EventTypes:
    """The event types of one organisation."""

    def __init__(self, org_id: OrgId, event_types: EventTypeRepository, *, clock: Clock) -> None:
        self._org_id = org_id
        self._event_types = event_types
        self._clock = clock

    async def page(self, page: PageRequest, *, include_archived: bool) -> Page[EventType]:
        """One page of them, by name."""
        return await self._event_types.page(self._org_id, page, include_archived=include_archived)

    async def get(self, name: str) -> EventType:
        """NotFound when there is none of that name."""
        return _found(await self._event_types.get(self._org_id, name))

    async def create(self, new: NewEventType) -> EventType:
        """Takes the place of an archived one; EventTypeExists when a live one has the name."""
        event_type = self._made(new)
        await self._event_types.add(event_type)
        return event_type

    async def upsert(self, new: NewEventType) -> tuple[EventType, bool]:
        """Replace what is said of an event type, or create it; tells whether it was created."""
        known = await self._event_types.get(self._org_id, new.name, lock=True)
        if known is None:
            return await self.create(new), True
        changed = replace(self._made(new), created_at=known.created_at)
        await self._event_types.replace(changed)
        return changed, False

    async def patch(self, name: str, changes: Mapping[str, Any]) -> EventType:
        """Change only these fields of `NewEventType`."""
        known = _found(await self._event_types.get(self._org_id, name, lock=True))
        changed = replace(known, **changes, updated_at=self._clock.now())
        await self._event_types.replace(changed)
        return changed

    async def delete(self, name: str, *, expunge: bool) -> None:
        """Archive it, or remove it for good."""
        known = _found(await self._event_types.get(self._org_id, name, lock=True))
        if expunge:
            await self._event_types.delete(known)
        else:
            await self._event_types.replace(replace(known, archived=True, updated_at=self._clock.now()))

    def _made(self, new: NewEventType) -> EventType:
        now = self._clock.now()
        return EventType(
            org_id=self._org_id,
            name=new.name,
            description=new.description,
            archived=new.archived,
            deprecated=new.deprecated,
            schemas=new.schemas,
            feature_flags=new.feature_flags,
            group_name=new.group_name,
            created_at=now,
            updated_at=now,
        )


def _found(event_type: EventType | None) -> EventType:
    if event_type is None:
        raise NotFound
    return event_type
