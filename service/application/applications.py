"""Use cases of applications."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from service.application.ports.machine import Clock
from service.application.ports.pages import ApplicationFilter, Page, PageRequest
from service.application.ports.repositories import ApplicationRepository
from service.application.upserts import upserted
from service.domain import ids
from service.domain.applications import Application, NewApplication
from service.domain.errors import Conflict, NotFound
from service.domain.ids import ApplicationId, OrgId


class Applications:
    """The applications of one organisation."""

    def __init__(
        self, org_id: OrgId, applications: ApplicationRepository, *, clock: Clock, new_id: Callable[[str], str]
    ) -> None:
        self._org_id = org_id
        self._applications = applications
        self._clock = clock
        self._new_id = new_id

    async def page(self, page: PageRequest, *, left_out: ApplicationFilter) -> Page[Application]:
        """One page of them, by id."""
        return await self._applications.page(self._org_id, page, left_out=left_out)

    async def get(self, ref: str) -> Application:
        """NotFound when there is none with this id or uid."""
        return _found(await self._applications.get(self._org_id, ref))

    async def create(self, new: NewApplication) -> Application:
        """Conflict when the uid is taken."""
        application = self._made(new)
        await self._applications.add(application)
        return application

    async def create_or_get(self, new: NewApplication) -> tuple[Application, bool]:
        """The application with this uid, and whether it was created now."""
        try:
            return await self.create(new), True
        except Conflict:
            return await self.get(new.uid or ""), False

    async def upsert(self, ref: str, new: NewApplication) -> tuple[Application, bool]:
        """Replace an application's fields, or create one; returns whether it was created.

        Conflict when the uid is another application's.
        """
        changes = {"name": new.name, "uid": new.uid, "throttle_rate": new.throttle_rate, "metadata": new.metadata}
        return await upserted(
            lambda: self._applications.get(self._org_id, ref, lock=True),
            change=lambda known: self._change(known, changes),
            create=lambda: self.create(new),
            is_the_same=ref == new.uid,
        )

    async def patch(self, ref: str, changes: Mapping[str, Any]) -> Application:
        """Change only these fields of `NewApplication`."""
        known = _found(await self._applications.get(self._org_id, ref, lock=True))
        return await self._change(known, changes)

    async def delete(self, ref: str) -> Application:
        """Delete it with its endpoints; its uid can be used again."""
        known = _found(await self._applications.get(self._org_id, ref, lock=True))
        await self._applications.delete(known, at=self._clock.now())
        return known

    async def _change(self, known: Application, changes: Mapping[str, Any]) -> Application:
        changed = replace(known, **changes, updated_at=self._clock.now())
        await self._applications.replace(changed)
        return changed

    def _made(self, new: NewApplication) -> Application:
        application_id = ApplicationId(self._new_id(ids.APPLICATION))
        now = self._clock.now()
        return Application(
            id=application_id,
            org_id=self._org_id,
            name=new.name,
            uid=new.uid,
            throttle_rate=new.throttle_rate,
            metadata=new.metadata,
            created_at=now,
            updated_at=now,
        )


def _found(application: Application | None) -> Application:
    if application is None:
        raise NotFound
    return application
