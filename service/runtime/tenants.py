"""Chooses the database of each organisation, where there are several.

The database that is home knows where each organisation lives. A process remembers what it has asked, and is told of
changes. What it remembers may be old all the same: the organisation's row in the chosen database decides (see
`adapters/postgres/server/residence.py`), and refuses a process that comes to the wrong one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from service.adapters.postgres.queue.attempt_news import TenantsNews
from service.adapters.postgres.repositories.homes import move_in
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, Sessions, open_unit_of_work
from service.adapters.postgres.server.residence import Residence
from service.api.services import Services
from service.application.homes import Homes
from service.domain.errors import LivesElsewhere, Unavailable
from service.domain.ids import OrgId
from service.runtime.core import Core
from service.runtime.databases import KeptOpen

LOOK_UP_TIMEOUT_S = 2.0
MOST_REMEMBERED = 50_000  # organisations
NOT_SERVED = "The organisation's database is not one that this process serves. Try again shortly."

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What is open over one of several databases. `services` are nobody's in particular; `home` opens sessions in the
    database that is home, if this is another."""

    core: Core
    services: Services
    home: Sessions | None

    def of(self, residence: Residence) -> "Tenant":
        """What an organisation is served by, as long as it lives here."""
        core, news = self.core, TenantsNews(self.core.attempt_news)
        begin = partial(
            open_unit_of_work, core.database.sessions, core.vault, core.wakeups, residence=residence, home=self.home
        )
        unit_of_work = partial(
            PostgresUnitOfWork, vault=core.vault, wakeups=core.wakeups, residence=residence, home=self.home
        )
        services = replace(self.services, begin=begin, unit_of_work=unit_of_work, attempt_news=news)
        return Tenant(services=services, news=news)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An organisation's services, and the news that its live streams tell."""

    services: Services
    news: TenantsNews


class ChosenDatabases:
    """Fulfils `api.services.Tenants`. `ready` tells whether organisations may be let in, `answers` whether the database
    of that name answers, `is_down` whether it was found not to."""

    def __init__(
        self,
        shards: Mapping[str, KeptOpen[Shard]],
        homes: Homes,
        *,
        ready: Callable[[], bool],
        answers: Callable[[str], bool],
        is_down: Callable[[str], bool],
    ) -> None:
        self._shards = shards
        self._homes = homes
        self._ready = ready
        self._answers = answers
        self._is_down = is_down
        self._names: dict[OrgId, str] = {}
        self._tenants: dict[OrgId, Tenant] = {}

    async def of(self, org_id: OrgId) -> Services:
        """The services of the organisation's database; a new organisation is given one. Raises Unavailable."""
        name = self._names.get(org_id)
        found = self._tenants.get(org_id)
        if name is not None and found is not None:
            return self._answering(name, found)
        if name is None:
            name = await self._asked(self._homes.find_or_give(org_id, among=self._open_to_all()))
        return await self._at(name, org_id)

    async def known(self, org_id: OrgId) -> Services | None:
        """The same, but None for an organisation that lives nowhere: whoever asks may have made up its name."""
        name = self._names.get(org_id)
        found = self._tenants.get(org_id)
        if name is not None and found is not None:
            return self._answering(name, found)
        name = name or await self._asked(self._homes.find(org_id))
        return None if name is None else await self._at(name, org_id)

    def remembered(self) -> Mapping[OrgId, str]:
        """The choices of this process."""
        return dict(self._names)

    def forget(self, org_id: OrgId) -> None:
        """Ask again where it lives, the next time. Live streams end, and whoever follows them asks again as well."""
        self._names.pop(org_id, None)
        tenant = self._tenants.pop(org_id, None)
        if tenant is not None:
            tenant.news.end()

    async def _asked(self, asking: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer of the database that is home, in time."""
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
                answer = await asking
        except TimeoutError:
            raise Unavailable from None
        if not self._ready():
            raise Unavailable
        return answer

    async def _at(self, name: str, org_id: OrgId) -> Services:
        self._remember(org_id, name)
        shard = self._shards.get(name)
        if shard is None:
            raise Unavailable(NOT_SERVED)
        opened = shard()
        if not await move_in(opened.core.database.pool, org_id):
            self.forget(org_id)
            raise LivesElsewhere
        tenant = self._tenants.get(org_id)  # of another request meanwhile, with the streams that it has begun
        if tenant is None:
            tenant = self._tenants[org_id] = opened.of(Residence(org_id=org_id, moved=self.forget))
        return tenant.services

    def _answering(self, name: str, tenant: Tenant) -> Services:
        """Refuse at once what would wait for a database that is known not to answer, beside those of the others."""
        if self._is_down(name):
            raise Unavailable
        return tenant.services

    def _remember(self, org_id: OrgId, name: str) -> None:
        self._names[org_id] = name
        if len(self._names) > MOST_REMEMBERED:
            self.forget(next(iter(self._names)))

    def _open_to_all(self) -> list[str]:
        """The databases that new organisations may be given."""
        return [name for name, shard in self._shards.items() if shard.is_open and self._answers(name)]
