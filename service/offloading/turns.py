"""A semaphore that is fair between tenants: round-robin, and no tenant may hold all places."""

import asyncio
from collections import Counter, OrderedDict, deque

from service.domain.errors import Busy

MAX_QUEUED_CALLS = 1024
MAX_QUEUED_CALLS_PER_TENANT = 256


class Turns:
    """A semaphore of `places`. A tenant may hold all but one; waiting calls are served round-robin by tenant.

    A call raises Busy when `most_waiting` calls are queued, or 256 of its own tenant. Work without a tenant (None) may
    hold all places.
    """

    def __init__(self, places: int, *, most_waiting: int = MAX_QUEUED_CALLS) -> None:
        self._places = self._free = places
        self._most_waiting = most_waiting
        self._in_line = 0
        self._inside: Counter[str | None] = Counter()
        self._lines: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many places are in use."""
        return self._places - self._free

    async def enter(self, tenant: str | None) -> None:
        """Wait for a place and take it; the caller must `leave`. Busy when too many calls are queued."""
        if self._has_room(tenant) and tenant not in self._lines:
            self._take(tenant)
            return
        turn = self._queue(tenant)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave_line(tenant, turn)
            else:
                self.leave(tenant)
            raise

    def leave(self, tenant: str | None) -> None:
        """Give the place back, and serve the calls that have room now."""
        self._free += 1
        self._inside[tenant] -= 1
        if not self._inside[tenant]:
            del self._inside[tenant]
        while self._serve_next():
            pass

    def _has_room(self, tenant: str | None) -> bool:
        each = self._places if tenant is None else max(1, self._places - 1)
        return self._free > 0 and self._inside[tenant] < each

    def _take(self, tenant: str | None) -> None:
        self._free -= 1
        self._inside[tenant] += 1

    def _queue(self, tenant: str | None) -> "asyncio.Future[None]":
        line = self._lines.get(tenant, deque())
        each = self._most_waiting if tenant is None else min(MAX_QUEUED_CALLS_PER_TENANT, self._most_waiting)
        if self._in_line >= self._most_waiting or len(line) >= each:
            raise Busy
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        self._lines[tenant] = line
        self._in_line += 1
        return turn

    def _leave_line(self, tenant: str | None, turn: "asyncio.Future[None]") -> None:
        line = self._lines.get(tenant, deque())
        if turn in line:
            line.remove(turn)
            self._in_line -= 1
            if not line:
                del self._lines[tenant]

    def _serve_next(self) -> bool:
        for tenant in self._lines:
            if self._has_room(tenant):
                self._serve(tenant)
                return True
        return False

    def _serve(self, tenant: str | None) -> None:
        line = self._lines.pop(tenant)
        turn = line.popleft()
        self._in_line -= 1
        if line:
            self._lines[tenant] = line  # moved to the end: the other tenants' turns come first
        if not turn.cancelled():
            self._take(tenant)
            turn.set_result(None)
