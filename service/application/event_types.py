"""Use cases of event types."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from service.application import exact_json
from service.application.ports.machine import Clock
from service.application.ports.pages import Page, PageRequest
from service.application.ports.repositories import EventTypeRepository
from service.application.upserts import upserted
from service.domain.errors import NotFound
from service.domain.event_types import EventType, NewEventType
from service.domain.ids import OrgId

PAGE_EVENT_TYPES = 1000


class EventTypes:
    """The event types of one organisation. With `flags` only those that need no feature flag, or one of these."""

    def __init__(
        self,
        org_id: OrgId,
        event_types: EventTypeRepository,
        *,
        clock: Clock,
        flags: Collection[str] | None = None,
    ) -> None:
        self._flags = flags
        self._org_id = org_id
        self._event_types = event_types
        self._clock = clock

    async def page(self, page: PageRequest, *, include_archived: bool, with_content: bool = True) -> Page[EventType]:
        """One page of them, by name; without content, without their schemas."""
        return await self._event_types.page(
            self._org_id, page, include_archived=include_archived, flags=self._flags, with_content=with_content
        )

    async def get(self, name: str) -> EventType:
        """NotFound when there is none of that name."""
        event_type = _found(await self._event_types.get(self._org_id, name))
        return _found(event_type if event_type.is_visible(self._flags) else None)

    async def create(self, new: NewEventType) -> EventType:
        """Create it, or replace an archived one. Raises EventTypeExists when one that is not archived exists,
        Invalid."""
        event_type = self._made(new)
        await self._event_types.add(event_type)
        return event_type

    async def upsert(self, new: NewEventType) -> tuple[EventType, bool]:
        """Replace an event type's fields, or create it; returns whether it was created."""
        return await upserted(
            lambda: self._event_types.get(self._org_id, new.name, lock=True),
            change=lambda known: self._change(replace(self._made(new), created_at=known.created_at)),
            create=lambda: self.create(new),
        )

    async def patch(self, name: str, changes: Mapping[str, Any]) -> EventType:
        """Change only these fields of `NewEventType`."""
        known = _found(await self._event_types.get(self._org_id, name, lock=True))
        changed = replace(known, **changes, updated_at=self._clock.now())
        if {"schemas", "validate_payloads"} & changes.keys():
            changed.refuse_empty_promise()
        return await self._change(changed)

    async def delete(self, name: str, *, expunge: bool) -> None:
        """Archive it, or with `expunge` delete it."""
        known = _found(await self._event_types.get(self._org_id, name, lock=True))
        if expunge:
            await self._event_types.delete(known)
        else:
            await self._event_types.replace(replace(known, archived=True, updated_at=self._clock.now()))

    async def take_over(
        self,
        described: Sequence[NewEventType],
        *,
        unsaid: Collection[str] = (),
        archive_others: bool = False,
        dry_run: bool = False,
    ) -> list[NewEventType | EventType]:
        """Import these event types. Returns those that changed, or would in a `dry_run`, with their new fields.

        `unsaid` are fields that the descriptions do not contain: existing event types keep theirs.
        """
        by_name = {new.name: new for new in described}
        modified: list[NewEventType | EventType] = []
        async for names, known in self._known(sorted(by_name), lock=not dry_run):
            changed = list(_changed((by_name[name] for name in names), known, unsaid=unsaid))
            if changed and not dry_run:
                await self._event_types.put(self._org_id, [self._made(new) for new in changed])
            modified += changed
        if archive_others:
            modified += await self._archive_all_but(by_name.keys(), dry_run=dry_run)
        return modified

    async def named(self, names: Collection[str]) -> AsyncIterator[EventType]:
        """Those of these names that exist, archived or not, by name. They are read page by page, since all schemas
        together may be large."""
        async for _, known in self._known(sorted(names), lock=False):
            for event_type in known.values():
                yield event_type

    async def _known(
        self, names: Sequence[str], *, lock: bool
    ) -> AsyncIterator[tuple[Sequence[str], Mapping[str, EventType]]]:
        """The existing event types by name, page by page. In sorted order, so that two imports at the same time lock
        rows in the same order and do not deadlock."""
        while names:
            found = await self._event_types.named(self._org_id, names[:PAGE_EVENT_TYPES], lock=lock)
            covered = PAGE_EVENT_TYPES if found.done else names.index(found.items[-1].name) + 1
            yield names[:covered], {known.name: known for known in found.items}
            names = names[covered:]

    async def _archive_all_but(self, names: Collection[str], *, dry_run: bool) -> list[EventType]:
        """The event types that are archived, or would be; without their schemas, which may be large."""
        others = [found async for found in self._unarchived() if found.name not in names]
        if others and not dry_run:
            await self._event_types.archive(self._org_id, [other.name for other in others], at=self._clock.now())
        return [replace(other, archived=True) for other in others]

    async def _unarchived(self) -> AsyncIterator[EventType]:
        page, done = PageRequest(limit=PAGE_EVENT_TYPES, ascending=True), False
        while not done:
            found = await self.page(page, include_archived=False, with_content=False)
            for event_type in found.items:
                yield event_type
            done = found.done
            if not done:
                page = replace(page, after=found.items[-1].name)

    async def _change(self, changed: EventType) -> EventType:
        await self._event_types.replace(changed)
        return changed

    def _made(self, new: NewEventType) -> EventType:
        new.refuse_empty_promise()
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
            validate_payloads=new.validate_payloads,
            created_at=now,
            updated_at=now,
        )


def _found(event_type: EventType | None) -> EventType:
    if event_type is None:
        raise NotFound
    return event_type


def _changed(
    described: Iterable[NewEventType], known: Mapping[str, EventType], *, unsaid: Collection[str]
) -> Iterable[NewEventType]:
    for new in described:
        before = known.get(new.name)
        wanted = new if before is None else replace(new, **{field: getattr(before, field) for field in unsaid})
        if before is None or not _says(before, wanted):
            yield wanted


def _says(known: EventType, new: NewEventType) -> bool:
    """Whether an event type already has these fields."""
    others = (field.name for field in fields(NewEventType) if field.name != "schemas")
    return all(getattr(known, name) == getattr(new, name) for name in others) and _are_equivalent(known, new)


def _are_equivalent(known: NewEventType, new: NewEventType) -> bool:
    if known.schemas == new.schemas or known.schemas is None or new.schemas is None:
        return known.schemas == new.schemas
    try:
        return bool(exact_json.read(known.schemas) == exact_json.read(new.schemas))
    except ValueError:  # an earlier release took what is not read any more
        return False
