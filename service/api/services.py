"""What the API is given by whoever opens it. Nothing here is made by the API itself."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from secrets import token_bytes

from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from service.application.access import TokenIssuer, TokenVerifier
from service.application.payload_checks import PayloadChecks
from service.application.ports.attempt_news import AttemptNews
from service.application.ports.destinations import AttemptMaker
from service.application.ports.intake import Intake
from service.application.ports.machine import Clock, KeyPairs, NewId
from service.application.ports.unit_of_work import UnitOfWork
from service.domain.signatures import GENERATED_BYTES
from service.offloading.processes import Processes
from service.offloading.threads import Threads


def _new_key() -> bytes:
    return token_bytes(GENERATED_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Open for as long as the API serves.

    `sessions` opens a session, `unit_of_work` makes one of it, `new_id` takes a prefix,
    `attempts` are made over a client.
    """

    sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    unit_of_work: Callable[[AsyncSession], UnitOfWork]
    http_client: AsyncClient
    intake: Intake
    access: TokenVerifier
    tokens: TokenIssuer
    clock: Clock
    new_id: NewId
    key_pairs: KeyPairs
    attempts: Callable[[AsyncClient], AttemptMaker]
    payload_checks: PayloadChecks
    processes: Processes
    attempt_news: AttemptNews
    threads: Threads
    refuses_url: Callable[[str], str | None]
    new_key: Callable[[], bytes] = _new_key
    https_only: bool = False
    trace_url: str | None = None
