"""Use cases of the console's sessions: open one for a caller, find it again by its secret, end it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from service.application.access import Caller
from service.application.ports.console_sessions import ConsoleSession, ConsoleSessionRepository
from service.application.ports.machine import Clock
from service.domain.ids import OrgId, is_organisation
from service.domain.tokens import SESSION_LASTS

SECRET_BYTES = 32
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the browser keeps of a session: its organisation, by which it is found, and its secret."""

    org_id: OrgId
    secret: str

    def __repr__(self) -> str:
        return "Ticket(***)"

    @property
    def text(self) -> str:
        """As one word."""
        return f"{self.org_id}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> "Ticket | None":
        """The ticket of such a word; None for anything else."""
        org_id, _, secret = text.rpartition(".")
        if not is_organisation(org_id) or len(secret) != 2 * SECRET_BYTES or not _HEX.issuperset(secret):
            return None
        return cls(OrgId(org_id), secret)

    @property
    def digest(self) -> bytes:
        """What the database keeps of the secret."""
        return sha256(self.secret.encode()).digest()

    @property
    def csrf(self) -> str:
        """The token in the forms of the session's pages. Nobody can make it without the secret."""
        return sha256(f"csrf:{self.secret}".encode()).hexdigest()


class ConsoleSessions:
    """Opens, finds and ends sessions."""

    def __init__(self, sessions: ConsoleSessionRepository, *, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    async def open(self, caller: Caller, *, new_secret: Callable[[int], bytes]) -> tuple[Ticket, ConsoleSession]:
        """Open a session with the caller's permissions; it ends with the caller's token at the latest."""
        now = self._clock.now()
        ticket = Ticket(caller.org_id, new_secret(SECRET_BYTES).hex())
        expires_at = now + SESSION_LASTS
        if caller.credential is not None:
            expires_at = min(expires_at, datetime.fromtimestamp(min(caller.credential.expires_at, 2**40), UTC))
        session = ConsoleSession(digest=ticket.digest, caller=caller, created_at=now, expires_at=expires_at)
        await self._sessions.add(session)
        return ticket, session

    async def find(self, ticket: Ticket) -> ConsoleSession | None:
        """The session of this ticket, unless it was ended or has expired."""
        return await self._sessions.get(ticket.org_id, ticket.digest, now=self._clock.now())

    async def end(self, ticket: Ticket) -> None:
        """End the session in all processes."""
        await self._sessions.delete(ticket.org_id, ticket.digest)
