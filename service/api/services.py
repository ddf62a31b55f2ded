"""The resources that the API is given: those of every use case, and those that HTTP's dependencies open."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from typing import Self

from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from service.application.ports.destinations import AttemptMaker
from service.application.ports.identity_provider import IdentityProvider
from service.application.ports.unit_of_work import UnitOfWork
from service.application.use_cases import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Resources):
    """Resources that are open for as long as the API serves.

    `sessions` opens a database session, `unit_of_work` wraps one, `attempts` makes an AttemptMaker over a client.
    `identity_provider` signs people in who have no token at hand.
    """

    sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    unit_of_work: Callable[[AsyncSession], UnitOfWork]
    http_client: AsyncClient
    attempts: Callable[[AsyncClient], AttemptMaker]
    identity_provider: IdentityProvider | None = None

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
    ) -> Self:
        """The shared resources, and those that only HTTP needs."""
        shared = {field.name: getattr(resources, field.name) for field in fields(resources)}
        return cls(
            **shared,
            sessions=sessions,
            unit_of_work=unit_of_work,
            http_client=http_client,
            attempts=attempts,
            identity_provider=identity_provider,
        )
