"""Use cases of polled destinations: reading a stream by iterators, or as a consumer, whose place is kept."""

from dataclasses import dataclass, replace
from datetime import datetime

from service.application.ports.ordered import DestinationRepository, Extent, Passage
from service.domain.applications import Application
from service.domain.consumers import after_poll, before_poll, moved
from service.domain.errors import DestinationNotEnabled, NotFound
from service.domain.ordered import OrderedDestination, OrderedStatus
from service.domain.sinks import PollingSink


@dataclass(frozen=True, slots=True, kw_only=True)
class PollFilter:
    """Which of the destination's messages to read, besides its own event types and channels; `since` is when they were
    accepted."""

    event_type: str | None = None
    channel: str | None = None
    since: datetime | None = None


EVERYTHING = PollFilter()


class Pollers:
    """The polled destinations of one application. Each method raises NotFound when there is none with this id or uid,
    and DestinationNotEnabled while it is paused or disabled."""

    def __init__(self, application: Application, destinations: DestinationRepository) -> None:
        self._application = application
        self._destinations = destinations

    async def poll(self, ref: str, *, after: int | None, limit: int, wanted: PollFilter = EVERYTHING) -> Passage:
        """The messages after a position; without one, those since the destination was made."""
        destination = await self._found(ref)
        begin = destination.position if after is None else after
        if wanted.since is not None:
            since = await self._destinations.position_at(self._application.id, wanted.since)
            begin = since if after is None else max(after, since)
        return await self._read(destination, wanted, after=begin, limit=limit)

    async def consumer_poll(
        self, ref: str, consumer_id: str, *, acknowledged: int | None, is_repeated: bool, limit: int
    ) -> Passage:
        """The messages that the consumer has not acknowledged. Polls of one consumer wait for each other.

        `acknowledged` and `is_repeated` are explained in `domain.consumers`.
        """
        destination = await self._found(ref)
        known = await self._destinations.consumer(destination, consumer_id)
        consumer = before_poll(known, acknowledged=acknowledged, is_repeated=is_repeated)
        passage = await self._read(destination, EVERYTHING, after=consumer.position, limit=limit)
        consumer = after_poll(consumer, through=passage.through)
        await self._destinations.keep_consumer(destination.id, consumer_id, consumer)
        return passage

    async def seek(self, ref: str, consumer_id: str, *, at: datetime) -> int:
        """Let the consumer read on with what was accepted at that time; returns the position before it."""
        destination = await self._found(ref)
        position = await self._destinations.position_at(self._application.id, at)
        await self._destinations.consumer(destination, consumer_id)
        await self._destinations.keep_consumer(destination.id, consumer_id, moved(position))
        return position

    async def _found(self, ref: str) -> OrderedDestination:
        destination = await self._destinations.get(self._application.id, ref)
        if destination is None or not isinstance(destination.sink, PollingSink):
            raise NotFound("Polling endpoint not found")
        if destination.status is not OrderedStatus.ENABLED:
            raise DestinationNotEnabled
        return destination

    async def _read(self, destination: OrderedDestination, wanted: PollFilter, *, after: int, limit: int) -> Passage:
        passage = await self._destinations.read(
            self._application.id, _extent(destination, wanted, limit=limit), after=after
        )
        if wanted.channel is None:
            return passage
        within = tuple(message for message in passage.messages if wanted.channel in message.channels)
        return replace(passage, messages=within)


def _extent(destination: OrderedDestination, wanted: PollFilter, *, limit: int) -> Extent:
    types, channels = destination.event_types, destination.channels
    if wanted.event_type is not None:
        types = (wanted.event_type,) if types is None or wanted.event_type in types else ()
    if wanted.channel is not None and (channels is None or wanted.channel in channels):
        channels = (wanted.channel,)
    return Extent(messages=limit, event_types=types, channels=channels)
