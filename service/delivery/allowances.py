"""How many attempts one endpoint may have in flight: more for one that keeps up, few for one that does not.

An endpoint that nobody knows yet starts at `BASE`. One that is busy to the brim and answers well grows by one with each
answer, as TCP does in slow start. One that shows strain is halved, down to a single attempt at a time, which serves as
the probe that finds it well again. So a dead endpoint holds one place, not its share of the engine.

Once half of the engine is taken, an endpoint that has not shown that it keeps up gets one place only: many that fall
silent together are learned of after a whole timeout, and there must be places for the others until then.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator

from service.domain.ids import EndpointId
from service.domain.outcomes import Outcome, shows_strain

BASE = 8
REMEMBERED = 10_000


class Allowances:
    """Attempts in flight by endpoint, and how many there may be; `most` is the bound for the healthiest.

    `capacity` is how many attempts all endpoints may have together.
    """

    def __init__(self, *, most: int, capacity: int) -> None:
        self._most = most
        self._scarce_from = (capacity + 1) // 2
        self._taken = 0
        self._base = min(BASE, most)
        self._busy: Counter[EndpointId] = Counter()
        self._learned: OrderedDict[EndpointId, int] = OrderedDict()

    @property
    def default(self) -> int:
        """How many an endpoint may have that is not in `rooms`."""
        return 1 if self._scarce else self._base

    @property
    def narrowed(self) -> int:
        """How many endpoints are down to a single attempt at a time."""
        return sum(1 for allowed in self._learned.values() if allowed == 1 < self._base)

    def rooms(self) -> Iterator[tuple[EndpointId, int]]:
        """What each endpoint that is busy, or known to differ, may get beyond what it has; 0 is saturated."""
        for endpoint in self._busy.keys() | self._learned.keys():
            yield endpoint, max(0, self._allowed(endpoint) - self._busy[endpoint])

    def take(self, endpoint: EndpointId) -> None:
        """An attempt begins."""
        self._taken += 1
        self._busy[endpoint] += 1

    def give_back(self, endpoint: EndpointId, outcome: Outcome | None) -> bool:
        """An attempt has ended, with None when nothing was sent. Whether there is room now for what had none."""
        was_full, was_scarce = self._busy[endpoint] >= self._allowed(endpoint), self._scarce
        self._taken -= 1
        self._busy[endpoint] -= 1
        if outcome is not None:
            self._learn(endpoint, strained=shows_strain(outcome), was_full=was_full)
        if not self._busy[endpoint]:
            del self._busy[endpoint]
            if self._learned.get(endpoint, 0) > self._base:
                del self._learned[endpoint]
        return was_full or (was_scarce and not self._scarce)

    @property
    def _scarce(self) -> bool:
        return self._taken >= self._scarce_from

    def _allowed(self, endpoint: EndpointId) -> int:
        allowed = self._learned.get(endpoint, self._base)
        return allowed if allowed > self._base or not self._scarce else 1

    def _learn(self, endpoint: EndpointId, *, strained: bool, was_full: bool) -> None:
        allowed = self._learned.get(endpoint, self._base)
        if strained:
            self._remember(endpoint, max(1, allowed // 2))
        elif allowed < self._base:
            self._remember(endpoint, min(self._base, allowed * 2))
        elif was_full:
            self._remember(endpoint, min(self._most, allowed + 1))

    def _remember(self, endpoint: EndpointId, allowed: int) -> None:
        self._learned.pop(endpoint, None)
        if allowed != self._base:
            self._learned[endpoint] = allowed
        if len(self._learned) > REMEMBERED:
            self._learned.popitem(last=False)
