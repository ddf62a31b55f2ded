"""What there is to know of the database that this process works on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The database server's version, and the schema's revision."""

    database: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that is at work on the database. `since` is when it connected, None where PostgreSQL does not
    tell."""

    role: str
    since: datetime | None


class InstallationRepository(Protocol):
    """Reads it."""

    async def get(self) -> Installation: ...
    async def processes(self) -> Sequence[Process]: ...
