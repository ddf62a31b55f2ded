"""Use cases of an organisation's sources: create, list, change, delete, what was refused, and how each is read."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.application.ports.machine import Clock, NewId
from service.application.ports.pages import Page, PageRequest
from service.application.ports.sources import SourceRepository
from service.domain import ids
from service.domain.errors import Invalid, LimitReached, NotFound
from service.domain.ids import OrgId, SourceId
from service.domain.sources import (
    MAX_SOURCES,
    NewSource,
    Origin,
    Source,
    SourceFault,
    SourceKind,
    SourceState,
    state_of,
)
from service.domain.sources import shown as shown_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource:
    """A source, and how it is read now."""

    source: Source
    state: SourceState


class Sources:
    """The sources of one organisation. `kinds` are those whose clients are installed.

    `refuses_url` returns why an address can never be called, or None.
    """

    def __init__(
        self,
        org_id: OrgId,
        sources: SourceRepository,
        *,
        clock: Clock,
        new_id: NewId,
        kinds: Collection[SourceKind],
        refuses_url: Callable[[str], str | None],
    ) -> None:
        self._org_id = org_id
        self._sources = sources
        self._clock = clock
        self._new_id = new_id
        self._kinds = kinds
        self._refuses_url = refuses_url

    async def page(self, page: PageRequest) -> Page[ReadSource]:
        """One page of them, by id."""
        found = await self._sources.page(self._org_id, page)
        return Page(items=await self._read(*found.items), done=found.done)

    async def get(self, source_id: str) -> ReadSource:
        """NotFound when there is none with this id."""
        (read,) = await self._read(await self._found(source_id))
        return read

    async def create(self, new: NewSource) -> ReadSource:
        """Create a source; processes begin to read it at once. Raises Invalid, LimitReached."""
        self._check(new.origin)
        if await self._sources.has(self._org_id, at_least=MAX_SOURCES):
            raise LimitReached(f"An organisation has at most {MAX_SOURCES} sources.")
        source = self._made(new)
        await self._sources.add(source, new.origin)
        (read,) = await self._read(source)
        return read

    async def patch(self, source_id: str, changes: Mapping[str, Any]) -> ReadSource:
        """Change only these fields of `NewSource`. An origin is replaced as a whole. Raises Invalid, NotFound."""
        known = await self._found(source_id, lock=True)
        origin: Origin | None = changes.get("origin")
        fields = {name: value for name, value in changes.items() if name != "origin"}
        if origin is not None:
            self._check(origin)
            if origin.kind is not known.kind:
                raise Invalid(f"The source is of the kind {known.kind}, which stays.", field=(origin.kind.value,))
            fields["place"] = shown_of(origin)
        changed = replace(known, **fields, updated_at=self._clock.now())
        await self._sources.replace(changed, origin)
        (read,) = await self._read(changed)
        return read

    async def delete(self, source_id: str) -> None:
        """Delete it with its faults; what it has accepted stays."""
        await self._sources.delete(await self._found(source_id, lock=True))

    async def faults(self, source_id: str, page: PageRequest) -> Page[SourceFault]:
        """What was refused of it, by time."""
        return await self._sources.faults((await self._found(source_id)).id, page)

    async def _found(self, source_id: str, *, lock: bool = False) -> Source:
        source = await self._sources.get(self._org_id, source_id, lock=lock)
        if source is None:
            raise NotFound
        return source

    async def _read(self, *sources: Source) -> list[ReadSource]:
        reports = await self._sources.reports([source.id for source in sources]) if sources else {}
        now = self._clock.now()
        return [
            ReadSource(source=source, state=state_of(source, reports.get(source.id, ()), now=now)) for source in sources
        ]

    def _check(self, origin: Origin) -> None:
        if origin.kind not in self._kinds:
            detail = f"The client of {origin.kind} is not installed here: install relevo[{origin.kind}]."
            raise Invalid(detail, field=(origin.kind.value,))
        for address in origin.addresses:
            if reason := self._refuses_url(address):
                raise Invalid(reason, field=(origin.kind.value,))

    def _made(self, new: NewSource) -> Source:
        now = self._clock.now()
        return Source(
            id=SourceId(self._new_id(ids.SOURCE)),
            org_id=self._org_id,
            name=new.name,
            kind=new.origin.kind,
            place=shown_of(new.origin),
            application=new.application,
            event_type=new.event_type,
            enabled=new.enabled,
            created_at=now,
            updated_at=now,
        )
