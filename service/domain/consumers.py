"""Consumers of a polled destination: what a poll does to what one has read. Pure.

A consumer that acknowledges by iterators is sent everything at least once, whenever it or a connection breaks. One that
never sends an iterator acknowledges a poll by the next one.
"""

from dataclasses import replace

from service.domain.ordered import Consumer


def before_poll(consumer: Consumer, *, acknowledged: int | None, is_repeated: bool) -> Consumer:
    """The consumer as a poll finds it: it reads on after its `position`.

    `acknowledged` is the position of the iterator that the poll was sent with. `is_repeated` says that it is an earlier
    poll, whose answer was lost.
    """
    if acknowledged is not None:
        return Consumer(position=acknowledged, acknowledges=True)
    if consumer.polled is None or consumer.acknowledges or is_repeated:
        return consumer
    return replace(consumer, position=consumer.polled, polled=None)


def after_poll(consumer: Consumer, *, through: int) -> Consumer:
    """The consumer when it has been answered everything up to `through`."""
    return replace(consumer, polled=through)


def moved(position: int) -> Consumer:
    """A consumer that was told where to read on. It knows its iterator, so it acknowledges by it."""
    return Consumer(position=position, acknowledges=True)
