"""Where deliveries go."""

from typing import Protocol

from service.domain.deliveries import Outcome


class Sender(Protocol):
    """Makes the call to a receiver."""

    async def send(self, *, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Never raises for a bad receiver: the outcome is a value. Bounded by the attempt timeout."""
        ...
