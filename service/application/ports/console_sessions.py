"""Sessions of the console: who signed in, and until when. The browser has a session's secret, the database a digest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.application.access import Caller
from service.domain.ids import OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSession:
    """A session, with the permissions of the token that it was opened with. `digest` is its secret's SHA-256."""

    digest: bytes
    caller: Caller
    created_at: datetime
    expires_at: datetime


class ConsoleSessionRepository(Protocol):
    """The sessions of an organisation and its applications."""

    async def add(self, session: ConsoleSession) -> None: ...
    async def get(self, org_id: OrgId, digest: bytes, *, now: datetime) -> ConsoleSession | None:
        """None when there is none, or when it has expired."""
        ...

    async def delete(self, org_id: OrgId, digest: bytes) -> None: ...
