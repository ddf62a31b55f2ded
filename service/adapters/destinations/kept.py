"""Connections that are kept from one batch to the next, one for each destination that is being read."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from service.adapters.destinations.clients import why_unavailable
from service.adapters.destinations.conversation import unreadable
from service.adapters.destinations.network import POSSIBLE, explain
from service.adapters.destinations.results import NotNow, Told, Watch
from service.domain.batches import Batch, BatchResult, StreamMessage
from service.domain.ids import DestinationId
from service.domain.outcomes import ErrorType
from service.domain.sinks import SinkKind

MOST_KEPT = 128
KEPT_FOR_S = 60.0
_CLOSE_WITHIN_S = 3.0
_TO_COUNT_S = 0.02  # left of a batch's time to count what was acknowledged

S = TypeVar("S")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[S, C]):
    sink: S
    connection: C
    until: float


class KeptConnections(ABC, Generic[S, C]):
    """A sender whose connections last: opened by the first batch, and closed when a batch fails, when nothing is sent
    for a minute, when there are too many, or at the end of the process.

    `timeout` (seconds) bounds everything from resolving the name to the last acknowledgement.
    """

    kind: ClassVar[SinkKind]

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._kept: dict[DestinationId, _Kept[S, C]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    async def send(self, sink: S, batch: Batch) -> BatchResult:
        """Send the batch once, in order. Whatever the receiver does is an outcome."""
        watch = Watch()
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            return await self._sent(sink, batch, watch, deadline)
        except Told as told:
            return watch.failed(told.error_type, told.text, taken=told.taken)
        except NotNow as busy:
            return watch.busy(busy.text, taken=busy.taken)
        except ModuleNotFoundError:
            if (missing := why_unavailable(self.kind)) is None:
                raise
            return watch.failed(ErrorType.INTERNAL, missing)
        except POSSIBLE as error:
            failure = explain(error)
            if failure is None:
                raise
            return watch.failed(*failure)

    async def close(self) -> None:
        """Close all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for kept in self._kept.values():
            self._discard(kept.connection)
        self._kept.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    @abstractmethod
    async def _open(self, sink: S) -> C:
        """Connect and sign in, within `conversation`. Raises Told, NotNow or an error of the network."""

    @abstractmethod
    async def _publish(self, connection: C, sink: S, batch: Batch, *, deadline: float) -> None:
        """Send the batch, and return when all of it is acknowledged; otherwise raise Told or NotNow with how many are.

        `deadline` is a time of the event loop's clock, at which the caller gives up.
        """

    @abstractmethod
    async def _end(self, connection: C) -> None:
        """Close it."""

    @abstractmethod
    def _usable(self, connection: C) -> bool:
        """Whether a kept connection is still open, as far as is known without asking."""

    async def _sent(self, sink: S, batch: Batch, watch: Watch, deadline: float) -> BatchResult:
        connection = self._taken(batch.destination_id, sink)
        if connection is None:
            async with asyncio.timeout_at(deadline):
                connection = await self._open(sink)
        whole = False
        try:
            async with asyncio.timeout_at(deadline):
                await self._publish(connection, sink, batch, deadline=deadline)
            whole = True
        finally:
            if whole:
                self._keep(batch.destination_id, sink, connection)
            else:
                self._discard(connection)
        return watch.whole(batch)

    def _taken(self, destination: DestinationId, sink: S) -> C | None:
        kept = self._kept.pop(destination, None)
        if kept is None:
            return None
        if kept.sink == sink and self._usable(kept.connection):
            return kept.connection
        self._discard(kept.connection)
        return None

    def _keep(self, destination: DestinationId, sink: S, connection: C) -> None:
        loop = asyncio.get_running_loop()
        if before := self._kept.pop(destination, None):
            self._discard(before.connection)
        self._kept[destination] = _Kept(sink, connection, loop.time() + KEPT_FOR_S)
        if len(self._kept) > MOST_KEPT:
            self._discard(self._kept.pop(next(iter(self._kept))).connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(KEPT_FOR_S, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for destination, kept in list(self._kept.items()):
            if kept.until <= loop.time():
                self._discard(self._kept.pop(destination).connection)
        self._sweeping = loop.call_later(KEPT_FOR_S, self._sweep) if self._kept else None

    def _discard(self, connection: C) -> None:
        """Close it in the background, since a receiver that does not answer may hold up even that."""
        task = asyncio.create_task(_bounded(self._end(connection)))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _bounded(closing: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await closing
    except Exception:  # noqa: BLE001  # it is given up, and clients raise all sorts of errors about what is gone
        return


async def pipelined(
    messages: Sequence[StreamMessage],
    publish: Callable[[StreamMessage], Awaitable["asyncio.Future[Any]"]],
    *,
    deadline: float,
    own: tuple[type[Exception], ...],
) -> tuple[int, BaseException | None]:
    """Publish one after the other without waiting for acknowledgements, then wait for them, as `acknowledged` does.

    A message that cannot be published ends the batch. `own` are the errors that the client documents: any other one of
    an acknowledgement is Unreadable.
    """
    answers: list[asyncio.Future[Any]] = []
    stopped: Exception | None = None
    for message in messages:
        try:
            answers.append(await publish(message))
        except Exception as error:  # noqa: BLE001  # returned, once it is known what was taken before it
            stopped = error
            break
    taken, unanswered = await acknowledged(answers, deadline=deadline) if answers else (0, None)
    if isinstance(unanswered, Exception) and not isinstance(unanswered, (*own, OSError, EOFError)):
        unanswered = unreadable(unanswered)
    return taken, unanswered or stopped


async def acknowledged(
    answers: Sequence["asyncio.Future[Any]"], *, deadline: float
) -> tuple[int, BaseException | None]:
    """Wait until all are answered: how many, from the first, are acknowledged, and the error of the next one.

    What is not answered shortly before the deadline, a time of the event loop's clock, counts as a TimeoutError.
    """
    left = deadline - asyncio.get_running_loop().time() - _TO_COUNT_S
    try:
        await asyncio.wait(answers, timeout=max(0.0, left))
    finally:
        open_ones = {answer for answer in answers if not answer.done()}
        for answer in open_ones:
            answer.cancel()
    # Of all of them, since asyncio complains of an error that nobody has looked at.
    errors = [TimeoutError() if answer in open_ones else _error(answer) for answer in answers]
    return next(((taken, error) for taken, error in enumerate(errors) if error), (len(answers), None))


def _error(answer: "asyncio.Future[Any]") -> BaseException | None:
    # One that we did not cancel was given up by its client, whose connection is lost.
    return ConnectionResetError() if answer.cancelled() else answer.exception()
