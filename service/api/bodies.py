"""Bytes of bodies that are held for everybody together: bounded, and shared fairly. Pure."""

from service.domain.errors import Busy
from service.domain.ids import OrgId

MOST_HELD = 128 * 1024 * 1024


class HeldBodies:
    """Bytes in memory, by organisation.

    Each organisation may hold as much as it leaves free: one alone half of all, two a third each, and there is always
    room for one more. Nobody waits for room, since whoever waits holds what has arrived.
    """

    def __init__(self, most: int = MOST_HELD) -> None:
        self._free = most
        self._held: dict[OrgId, int] = {}

    def hold(self, org_id: OrgId, size: int) -> None:
        """So many more. Busy when the organisation has its share."""
        held = self._held.get(org_id, 0) + size
        if held > self._free - size:
            raise Busy("Too much that was sent is in memory already. Try again shortly.")
        self._held[org_id] = held
        self._free -= size

    def let_go(self, org_id: OrgId, size: int) -> None:
        """So many less."""
        left = self._held.pop(org_id, 0) - size
        if left > 0:
            self._held[org_id] = left
        self._free += size
