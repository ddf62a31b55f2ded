"""How many attempts one endpoint may have in flight. The limit adapts to the endpoint's answers.

A new endpoint starts at `DEFAULT_ATTEMPTS`. Each good answer while the limit is reached raises it by one, as TCP does
in slow start. Each sign of strain halves it, down to one attempt at a time, which is also the probe that finds the
endpoint well again. So a dead endpoint holds one place of the engine.

When half of the engine's places are taken, an endpoint whose limit has not grown gets one place only. Endpoints that
fall silent together are noticed only after a whole timeout, and until then there must be places for the others.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator

from service.domain.ids import EndpointId
from service.domain.outcomes import Outcome, shows_strain

DEFAULT_ATTEMPTS = 8
CACHED_ENDPOINTS = 10_000


class Allowances:
    """Counts attempts in flight by endpoint and adapts their limits; `most` is the upper bound of a limit.

    `capacity` is the number of attempts at once to all endpoints.
    """

    def __init__(self, *, most: int, capacity: int) -> None:
        self._most = most
        self._scarce_from = (capacity + 1) // 2
        self._taken = 0
        self._base = min(DEFAULT_ATTEMPTS, most)
        self._busy: Counter[EndpointId] = Counter()
        self._learned: OrderedDict[EndpointId, int] = OrderedDict()

    @property
    def default(self) -> int:
        """The free places of an endpoint that is not in `rooms`."""
        return 1 if self._places_are_scarce else self._base

    @property
    def narrowed(self) -> int:
        """How many endpoints are limited to one attempt at a time."""
        return sum(1 for allowed in self._learned.values() if allowed == 1 < self._base)

    def rooms(self) -> Iterator[tuple[EndpointId, int]]:
        """The free places of each endpoint that is busy or whose limit is not the default; 0 is saturated."""
        for endpoint in self._busy.keys() | self._learned.keys():
            yield endpoint, max(0, self._allowed(endpoint) - self._busy[endpoint])

    def take(self, endpoint: EndpointId) -> None:
        """An attempt begins."""
        self._taken += 1
        self._busy[endpoint] += 1

    def give_back(self, endpoint: EndpointId, outcome: Outcome | None) -> bool:
        """An attempt has ended; `outcome` is None when it says nothing about the receiver.

        Returns whether deliveries that had no free place may have one now.
        """
        was_full, was_scarce = self._busy[endpoint] >= self._allowed(endpoint), self._places_are_scarce
        self._taken -= 1
        self._busy[endpoint] -= 1
        if outcome is not None:
            self._learn(endpoint, strained=shows_strain(outcome), was_full=was_full)
        if not self._busy[endpoint]:
            del self._busy[endpoint]
            if self._learned.get(endpoint, 0) > self._base:
                del self._learned[endpoint]
        return was_full or (was_scarce and not self._places_are_scarce)

    @property
    def _places_are_scarce(self) -> bool:
        return self._taken >= self._scarce_from

    def _allowed(self, endpoint: EndpointId) -> int:
        allowed = self._learned.get(endpoint, self._base)
        return allowed if allowed > self._base or not self._places_are_scarce else 1

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
        if len(self._learned) > CACHED_ENDPOINTS:
            self._learned.popitem(last=False)
