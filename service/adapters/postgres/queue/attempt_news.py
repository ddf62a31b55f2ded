"""News of attempts for live streams, across processes, by LISTEN/NOTIFY.

A process that has followers of an application notifies the others, repeats that while it lasts, and repeats it when a
process asks, as each does when it connects. Only attempts of followed applications are sent, or all of them until the
answers have arrived. News contain attempt ids only; followers read the attempts themselves. News that were lost,
because a follower was too slow or the connection broke, are reported as missed.
"""

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg

from service.adapters.postgres.server.connections import CONNECT_TIMEOUT_S
from service.adapters.postgres.server.notify_line import HEARTBEAT_INTERVAL_S, RECONNECT_DELAY_S, NotifyLine, Talk
from service.application.ports.attempt_news import Missed
from service.domain.errors import Unavailable
from service.domain.ids import ApplicationId, AttemptId

INTEREST, NEWS = "relevo_follow", "relevo_attempt"
NOTIFICATION_IDS = 200  # PostgreSQL takes 8,000 bytes in a notification
BUFFERED_IDS = 1000
MAX_OUTGOING_IDS = 10_000
INTEREST_TTL_S = 30.0
INTEREST_INTERVAL_S = HEARTBEAT_INTERVAL_S
ANSWER_TIMEOUT_S = 2.0
WHO_FOLLOWS = ""  # instead of an application: asks all processes which applications they follow
COALESCE_DELAY_S = 0.02


class PostgresFollower:
    """The news of one stream. Buffers the latest ones until they are read, and counts those that it dropped."""

    def __init__(self) -> None:
        self._news: deque[AttemptId] = deque()
        self._missed = 0
        self._lost = False
        self._ended = False
        self._changed = asyncio.Event()
        self.heard_of = asyncio.Event()

    async def next(self) -> list[AttemptId] | Missed | None:
        """Wait for the next news: at least one attempt id, or what was missed; None when this process shuts down."""
        while not (self._news or self._missed or self._lost or self._ended):
            self._changed.clear()
            await self._changed.wait()
        if self._missed or self._lost:
            missed = Missed(count=None if self._lost else self._missed)
            self._missed, self._lost = 0, False
            return missed
        if not self._news:
            return None
        return [self._news.popleft() for _ in range(min(len(self._news), NOTIFICATION_IDS))]

    def tell(self, attempts: list[AttemptId]) -> None:
        """Add news."""
        self._news.extend(attempts)
        while len(self._news) > BUFFERED_IDS:
            self._news.popleft()
            self._missed += 1
        self._changed.set()

    def miss(self, count: int | None) -> None:
        """Record that news were lost; None when their number is unknown."""
        self._lost = self._lost or count is None
        self._missed += count or 0
        self._changed.set()

    def end(self) -> None:
        """End the stream: there will be no more news."""
        self._ended = True
        self._changed.set()


class PostgresAttemptNews:
    """Fulfils `ports.AttemptNews`. Holds one connection."""

    def __init__(
        self,
        dsn: str,
        *,
        answered_within: float = ANSWER_TIMEOUT_S,
        heartbeat: float = INTEREST_INTERVAL_S,
        reconnect: float = RECONNECT_DELAY_S,
    ) -> None:
        self._line = NotifyLine(
            dsn, name="attempt_news", heartbeat=heartbeat, reconnect=reconnect, quiet=COALESCE_DELAY_S
        )
        self._answered_within = answered_within
        self._sure_from = math.inf
        self._followers: defaultdict[ApplicationId, set[PostgresFollower]] = defaultdict(set)
        self._followed_until: dict[ApplicationId, float] = {}
        self._outgoing: list[tuple[ApplicationId, AttemptId]] = []
        self._dropped: Counter[ApplicationId] = Counter()
        self._ended = False

    @asynccontextmanager
    async def follow(self, app_id: ApplicationId) -> AsyncIterator[PostgresFollower]:
        """Follow an application's news from now on. Raises Unavailable while the connection is down."""
        follower = PostgresFollower()
        if self._ended:
            follower.end()
        self._followers[app_id].add(follower)
        try:
            self._line.stir()
            await _wait_for(follower.heard_of)
            yield follower
        finally:
            self._followers[app_id].discard(follower)
            if not self._followers[app_id]:
                del self._followers[app_id]

    def attempted(self, app_id: ApplicationId, attempt_id: AttemptId) -> None:
        """Announce a stored attempt. Costs next to nothing when nobody follows its application."""
        now = asyncio.get_running_loop().time()
        if self._followed_until.get(app_id, 0.0) < now and self._sure_from <= now:
            return
        if len(self._outgoing) < MAX_OUTGOING_IDS:
            self._outgoing.append((app_id, attempt_id))
        else:
            self._dropped[app_id] += 1
        self._line.stir()

    def end(self) -> None:
        """End all streams, since this process shuts down."""
        self._ended = True
        for follower in self._all_followers():
            follower.end()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and notify while the block lasts, reconnecting as needed."""
        talk = Talk(
            hears={INTEREST: self._handle_interest, NEWS: self._heard_news},
            opened=self._opened,
            tells=self._tell,
            lost=self._lost,
        )
        async with self._line.running(talk):
            try:
                yield
            finally:
                self.end()

    async def _opened(self, connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT pg_notify($1, $2)", INTEREST, WHO_FOLLOWS)
        self._sure_from = asyncio.get_running_loop().time() + self._answered_within

    def _lost(self) -> None:
        self._sure_from = math.inf
        for follower in self._all_followers():
            follower.miss(None)

    async def _tell(self, connection: asyncpg.Connection) -> None:
        for app_id, followers in list(self._followers.items()):
            waiting = [follower for follower in followers if not follower.heard_of.is_set()]
            await connection.execute("SELECT pg_notify($1, $2)", INTEREST, app_id)
            for follower in waiting:
                follower.heard_of.set()
        for text in self._taken():
            await connection.execute("SELECT pg_notify($1, $2)", NEWS, text)

    def _taken(self) -> Iterator[str]:
        outgoing, self._outgoing = self._outgoing, []
        dropped, self._dropped = self._dropped, Counter()
        by_application: defaultdict[ApplicationId, list[AttemptId]] = defaultdict(list)
        for app_id, attempt_id in outgoing:
            by_application[app_id].append(attempt_id)
        for app_id, attempts in by_application.items():
            for first in range(0, len(attempts), NOTIFICATION_IDS):
                yield f"{app_id} {' '.join(attempts[first : first + NOTIFICATION_IDS])}"
        for app_id, count in dropped.items():
            yield f"{app_id} missed {count}"

    def _handle_interest(self, said: str) -> None:
        if said == WHO_FOLLOWS:
            self._line.stir()
            return
        now = asyncio.get_running_loop().time()
        self._followed_until = {app: until for app, until in self._followed_until.items() if until > now}
        self._followed_until[ApplicationId(said)] = now + INTEREST_TTL_S

    def _heard_news(self, said: str) -> None:
        app_id, *news = said.split(" ")
        for follower in self._followers.get(ApplicationId(app_id), ()):
            if news[0] == "missed":
                follower.miss(int(news[1]))
            else:
                follower.tell([AttemptId(attempt_id) for attempt_id in news])

    def _all_followers(self) -> list[PostgresFollower]:
        return [follower for followers in self._followers.values() for follower in followers]


async def _wait_for(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await event.wait()
    except TimeoutError:
        raise Unavailable from None


class TenantsNews:
    """The news of one organisation's applications, whose streams can be ended by themselves. Fulfils
    `ports.AttemptNews`."""

    def __init__(self, news: PostgresAttemptNews) -> None:
        self._news = news
        self._followers: set[PostgresFollower] = set()

    @asynccontextmanager
    async def follow(self, app_id: ApplicationId) -> AsyncIterator[PostgresFollower]:
        """Follow an application's news from now on. Raises Unavailable while the connection is down."""
        async with self._news.follow(app_id) as follower:
            self._followers.add(follower)
            try:
                yield follower
            finally:
                self._followers.discard(follower)

    def end(self) -> None:
        """End these streams: the organisation's news come from elsewhere. Whoever asks again is told of them."""
        for follower in self._followers:
            follower.end()
