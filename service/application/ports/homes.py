"""Where organisations live, if there are several databases."""

from collections.abc import Mapping
from typing import Protocol

from service.domain.ids import OrgId


class HomeRepository(Protocol):
    """The names of the organisations' databases, in the database that is home. Every call may raise Unavailable."""

    async def of(self, org_id: OrgId) -> str | None:
        """None for one that lives nowhere yet."""
        ...

    async def place(self, org_id: OrgId, database: str) -> str:
        """Place an organisation, unless it lives somewhere; returns where it lives afterwards."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """How many organisations live in each database that has some."""
        ...

    async def has_something(self, org_id: OrgId) -> bool:
        """Whether something of the organisation's is in the database that is home itself."""
        ...
