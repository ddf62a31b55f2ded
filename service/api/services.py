"""What the API is given by whoever opens it. Nothing here is made by the API itself."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from secrets import token_bytes

from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from service.application.access import TokenVerifier
from service.application.ports import Clock, Intake, KeyPairs, UnitOfWork
from service.domain.signatures import GENERATED_BYTES


def _new_key() -> bytes:
    return token_bytes(GENERATED_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Open for as long as the API serves.

    `sessions` opens a session, `unit_of_work` makes one of it, `new_id` takes a prefix, `wake` tells the engine of this
    process that something is due.
    """

    sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    unit_of_work: Callable[[AsyncSession], UnitOfWork]
    http_client: AsyncClient
    intake: Intake
    tokens: TokenVerifier
    clock: Clock
    new_id: Callable[[str], str]
    wake: Callable[[], None]
    key_pairs: KeyPairs
    new_key: Callable[[], bytes] = _new_key
    https_only: bool = False
