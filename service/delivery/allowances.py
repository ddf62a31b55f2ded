"""How many attempts one endpoint may have in flight. The limit adapts to the endpoint's answers.

A new endpoint starts at `DEFAULT_ATTEMPTS`. Each good answer while the limit is reached raises it by one, as TCP does
in slow start. Each sign of strain halves it, down to one attempt at a time, which is also the probe that finds the
endpoint well again. So a dead endpoint holds one place of the engine.

When half of the engine's places are taken, an endpoint whose limit has not grown gets one place only, and one whose
limit has grown `SCARCE_ATTEMPTS`. Endpoints that fall silent together are noticed only after a whole timeout, and until
then there must be places for the others.

Beside its places a busy endpoint has a stock: deliveries that are claimed ahead, as many as its places will take within
`STOCK_S` at the pace of its last answers. An endpoint that has not answered yet, or shows strain, has
none.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping

from service.domain.deliveries import Claim
from service.domain.ids import EndpointId
from service.domain.outcomes import Outcome, shows_strain

DEFAULT_ATTEMPTS = 8
SCARCE_ATTEMPTS = 16
CACHED_ENDPOINTS = 10_000
STOCK_S = 0.2
MAX_STOCK = 64
LATENCY_WEIGHT = 0.2  # of the latest answer in the mean


class Allowances:
    """Counts attempts in flight by endpoint and adapts their limits; `most` is the upper bound of a limit.

    `capacity` is the number of attempts at once to all endpoints.
    """

    def __init__(self, *, most: int, capacity: int) -> None:
        self._most = most
        self._capacity = capacity
        self._scarce_from = (capacity + 1) // 2
        self._taken = 0
        self._base = min(DEFAULT_ATTEMPTS, most)
        self._busy: Counter[EndpointId] = Counter()
        self._learned: OrderedDict[EndpointId, int] = OrderedDict()
        self._latency: OrderedDict[EndpointId, float] = OrderedDict()  # in seconds
        self._crowded: frozenset[EndpointId] = frozenset()

    @property
    def default(self) -> int:
        """The free places of an endpoint that is not in `rooms`."""
        return 1 if self.places_are_scarce else self._base

    @property
    def narrowed(self) -> int:
        """How many endpoints are limited to one attempt at a time."""
        return sum(1 for allowed in self._learned.values() if allowed == 1 < self._base)

    @property
    def taken(self) -> int:
        """How many attempts are in flight."""
        return self._taken

    @property
    def crowded(self) -> frozenset[EndpointId]:
        """The endpoints that the last claim may have left deliveries of, for want of room."""
        return self._crowded

    def note_crowded(self, endpoints: Iterable[EndpointId]) -> None:
        """What the last claim says of that. A crowded endpoint keeps its limit and its stock even while it has nothing
        to do: its next deliveries are on their way."""
        before, self._crowded = self._crowded, frozenset(endpoints)
        for endpoint in before - self._crowded:
            self._forget_if_idle(endpoint)

    def free(self, endpoint: EndpointId) -> int:
        """The endpoint's free places."""
        return max(0, self._allowed(endpoint) - self._busy[endpoint])

    def stock(self, endpoint: EndpointId) -> int:
        """How many deliveries to the endpoint may be claimed ahead."""
        latency = self._latency.get(endpoint)
        if latency is None or self._learned.get(endpoint, self._base) < self._base:
            return 0
        return min(MAX_STOCK, int(self._allowed(endpoint) * STOCK_S / max(latency, 0.001)))

    @property
    def stocks(self) -> int:
        """How many deliveries to all busy and crowded endpoints may be claimed ahead."""
        return sum(map(self.stock, self._busy.keys() | self._crowded))

    def room(self, endpoint: EndpointId, held: "Held") -> int:
        """How many more deliveries to the endpoint may be claimed, for places and stock, when these are held.

        There is no stock for anybody when as many are held as there are places."""
        stock = self.stock(endpoint) if len(held) < self._capacity else 0
        return max(0, self._allowed(endpoint) + stock - self._busy[endpoint] - held.counts.get(endpoint, 0))

    def free_places(self) -> dict[EndpointId, int]:
        """The free places of each endpoint that is busy, or whose limit is not the default."""
        return {endpoint: self.free(endpoint) for endpoint in self._busy.keys() | self._learned.keys()}

    def rooms(self, held: "Held") -> dict[EndpointId, int]:
        """The room of each endpoint that is busy, held or crowded, or whose limit is not the default."""
        known = self._busy.keys() | self._learned.keys() | held.counts.keys() | self._crowded
        return {endpoint: self.room(endpoint, held) for endpoint in known}

    def take(self, endpoint: EndpointId) -> None:
        """An attempt begins."""
        self._taken += 1
        self._busy[endpoint] += 1

    def give_back(self, endpoint: EndpointId, outcome: Outcome | None) -> None:
        """An attempt has ended; `outcome` is None when it says nothing about the receiver."""
        was_full = self._busy[endpoint] >= self._allowed(endpoint)
        self._taken -= 1
        self._busy[endpoint] -= 1
        if outcome is not None:
            self._learn(endpoint, strained=shows_strain(outcome), was_full=was_full)
            seconds = outcome.exchange.duration.total_seconds()
            before = self._latency.get(endpoint, seconds)
            self.note_latency(endpoint, before + LATENCY_WEIGHT * (seconds - before))
        if not self._busy[endpoint]:
            del self._busy[endpoint]
            self._forget_if_idle(endpoint)

    def note_latency(self, endpoint: EndpointId, seconds: float) -> None:
        """How long the endpoint takes to answer."""
        self._latency[endpoint] = seconds
        self._latency.move_to_end(endpoint)
        if len(self._latency) > CACHED_ENDPOINTS:
            self._latency.popitem(last=False)

    @property
    def places_are_scarce(self) -> bool:
        """Whether at least half of the engine's places are taken."""
        return self._taken >= self._scarce_from

    def _allowed(self, endpoint: EndpointId) -> int:
        allowed = self._learned.get(endpoint, self._base)
        if not self.places_are_scarce:
            return allowed
        return min(allowed, SCARCE_ATTEMPTS) if allowed > self._base else 1

    def _forget_if_idle(self, endpoint: EndpointId) -> None:
        is_idle = endpoint not in self._busy and endpoint not in self._crowded
        if is_idle and self._learned.get(endpoint, 0) > self._base:
            del self._learned[endpoint]

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


class Held:
    """The stocks: claims that wait for a place, each endpoint's in the order they came.

    `now` is in seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[EndpointId, deque[tuple[float, Claim]]] = OrderedDict()
        self._counts: Counter[EndpointId] = Counter()

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def counts(self) -> Mapping[EndpointId, int]:
        """How many are held of each endpoint."""
        return self._counts

    @property
    def endpoints(self) -> Iterable[EndpointId]:
        """The endpoints of held claims, the one whose turn is longest ago first."""
        return list(self._waiting)

    def add(self, claim: Claim, *, now: float) -> None:
        """Hold the claim."""
        self._waiting.setdefault(claim.endpoint_id, deque()).append((now, claim))
        self._counts[claim.endpoint_id] += 1

    def take(self, endpoint: EndpointId) -> Claim:
        """The endpoint's first claim, held no longer; the endpoint's next turn is after the others'. KeyError."""
        waiting = self._waiting.pop(endpoint)
        _, claim = waiting.popleft()
        self._counts[endpoint] -= 1
        if waiting:
            self._waiting[endpoint] = waiting
        else:
            del self._counts[endpoint]
        return claim

    def take_since_before(self, moment: float) -> list[Claim]:
        """All that have been held since before that moment, held no longer."""
        return [
            self.take(endpoint)
            for endpoint in self.endpoints
            for since, _ in list(self._waiting[endpoint])
            if since < moment
        ]
