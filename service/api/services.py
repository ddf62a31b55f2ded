"""The resources that the API is given: those of every use case, and those that HTTP's dependencies open."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from typing import Protocol, Self

from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from service.application.ports.destinations import AttemptMaker
from service.application.ports.identity_provider import IdentityProvider
from service.application.ports.unit_of_work import UnitOfWork
from service.application.tails import AttemptReader
from service.application.use_cases import Resources
from service.domain.ids import OrgId


class Tenants(Protocol):
    """The choice of a database, where there are several."""

    async def of(self, org_id: OrgId) -> "Services":
        """The services of the organisation's database; a new organisation is given one. Raises Unavailable."""
        ...

    async def known(self, org_id: OrgId) -> "Services | None":
        """The same, but None for an organisation that lives nowhere: whoever asks may have made up its name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Resources):
    """Resources that are open for as long as the API serves.

    `sessions` opens a database session, `unit_of_work` wraps one, `attempts` makes an AttemptMaker over a client.
    `identity_provider` signs people in who have no token at hand. Where there are several databases, `tenants` chooses
    one, and these services have none until it did.
    """

    sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    unit_of_work: Callable[[AsyncSession], UnitOfWork]
    http_client: AsyncClient
    attempts: Callable[[AsyncClient], AttemptMaker]
    attempt_reader: AttemptReader
    identity_provider: IdentityProvider | None = None
    tenants: Tenants | None = None

    async def of(self, org_id: OrgId) -> "Services":
        """The services of the organisation's database: these, where there is one. Raises Unavailable."""
        return self if self.tenants is None else await self.tenants.of(org_id)

    async def known(self, org_id: OrgId) -> "Services | None":
        """The same for a name that nothing vouches for; None if no such organisation lives anywhere."""
        return self if self.tenants is None else await self.tenants.known(org_id)

    @classmethod
    def over(
        cls,
        resources: Resources,
        *,
        sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        unit_of_work: Callable[[AsyncSession], UnitOfWork],
        http_client: AsyncClient,
        attempts: Callable[[AsyncClient], AttemptMaker],
        identity_provider: IdentityProvider | None,
        tenants: Tenants | None = None,
    ) -> Self:
        """The shared resources, and those that only HTTP needs."""
        shared = {field.name: getattr(resources, field.name) for field in fields(resources)}
        return cls(
            **shared,
            sessions=sessions,
            unit_of_work=unit_of_work,
            http_client=http_client,
            attempts=attempts,
            attempt_reader=AttemptReader(resources.begin),
            tenants=tenants,
            identity_provider=identity_provider,
        )
