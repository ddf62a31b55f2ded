"""Use cases of homes: which of several databases an organisation lives in, and which one it is given."""

from collections.abc import Sequence

from service.application.ports.homes import HomeRepository
from service.domain.errors import Unavailable
from service.domain.homes import least_crowded
from service.domain.ids import OrgId


class Homes:
    """Finds and gives homes. `first` is the name of the database that is home."""

    def __init__(self, homes: HomeRepository, *, first: str) -> None:
        self._homes = homes
        self._first = first

    async def find(self, org_id: OrgId) -> str | None:
        """The organisation's database; None for one that lives nowhere yet. Raises Unavailable."""
        return await self._homes.of(org_id)

    async def known(self, org_id: OrgId) -> str | None:
        """The same, and for one that has come while there was one database, the one that is home. Raises
        Unavailable."""
        found = await self.find(org_id)
        if found is None and await self._homes.has_something(org_id):
            return await self._homes.place(org_id, self._first)
        return found

    async def find_or_give(self, org_id: OrgId, *, among: Sequence[str]) -> str:
        """The organisation's database. A new one is given that of `among` where the fewest live. Raises Unavailable."""
        return await self.find(org_id) or await self._give(org_id, among)

    async def place(self, org_id: OrgId, database: str) -> str:
        """Give a new organisation this database. Returns where it lives, which is elsewhere if it is not new. Raises
        Unavailable."""
        found = await self.find(org_id)
        if found is not None:
            return found
        return await self._homes.place(org_id, self._first if await self._homes.has_something(org_id) else database)

    async def _give(self, org_id: OrgId, among: Sequence[str]) -> str:
        if await self._homes.has_something(org_id):
            # It has come while there was one database, which is home now.
            return await self._homes.place(org_id, self._first)
        if not among:
            raise Unavailable
        return await self._homes.place(org_id, least_crowded(await self._homes.counts(), among=among))
