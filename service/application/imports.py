"""Use cases of imports: a file of messages is accepted line by line, each line once however often the file is sent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import assert_never

import structlog

from service.application.intake import (
    Begin,
    Deferred,
    Kept,
    Rejected,
    SameAgain,
    Submissions,
)
from service.application.ports.machine import Clock
from service.application.ports.pages import Page, PageRequest
from service.domain import errors, ids
from service.domain.applications import Application
from service.domain.errors import Invalid, NotFound, RelevoError, Unavailable
from service.domain.idempotency import IdempotencyKey, key_of
from service.domain.imports import (
    ImportStatus,
    Line,
    LineAccepted,
    LineFault,
    LineMessage,
    MessageImport,
    Taken,
)

GROUP_MESSAGES = 256
MAX_DETAIL_CHARACTERS = 500

_log = structlog.stdlib.get_logger("relevo.import")


class Imports:
    """The imports of one application. `begin` opens a short unit of work; none is open while the file arrives."""

    def __init__(
        self,
        application: Application,
        submissions: Submissions,
        *,
        begin: Begin,
        clock: Clock,
        new_id: Callable[[str], str],
    ) -> None:
        self._application = application
        self._begin = begin
        self._submissions = submissions
        self._clock = clock
        self._new_id = new_id

    async def get(self, ref: str) -> MessageImport:
        """The import with this id or file id. Raises NotFound."""
        async with self._begin() as work:
            found = await work.imports.get(self._application.id, ref)
        if found is None:
            raise NotFound
        return found

    async def page(self, page: PageRequest) -> Page[MessageImport]:
        """One page of them, newest first."""
        async with self._begin() as work:
            return await work.imports.page(self._application.id, page)

    async def faults(self, ref: str, page: PageRequest) -> Page[LineFault]:
        """One page of refused lines, by number. Raises NotFound."""
        found = await self.get(ref)
        async with self._begin() as work:
            return await work.imports.faults(self._application.id, found.id, page)

    async def take(self, file_id: str, groups: AsyncIterator[Sequence[Line]]) -> MessageImport:
        """Accept the file's messages. A line that is refused is recorded and does not affect the others.

        Raises Unavailable, UnreadableFile, Conflict when the file is sent again meanwhile, or the error that ended the
        upload. Lines accepted by then stay; sending the file again under the same id accepts the rest.
        """
        progress = await self._start(file_id)
        _log.info("import.began", import_id=progress.id)
        try:
            async with aclosing(self._taken(file_id, groups)) as groups_taken:
                async for taken in groups_taken:
                    progress = await self._keep(progress, taken)
        except BaseException:
            # Shielded, since this request is being cancelled if the sender has disconnected.
            await asyncio.shield(self._end(progress, ImportStatus.FAILED))
            raise
        return await self._end(progress, ImportStatus.FINISHED)

    async def _taken(self, file_id: str, groups: AsyncIterator[Sequence[Line]]) -> AsyncGenerator[list[Taken], None]:
        """The results of each group. While one group is committed, the next one is read and parsed."""
        ahead: asyncio.Future[list[Taken]] | None = None
        try:
            async for lines in groups:
                for group in _groups(lines):
                    before, ahead = ahead, asyncio.ensure_future(self._take_group(file_id, group))
                    if before is not None:
                        yield await before
            if ahead is not None:
                yield await ahead
        except Exception:
            # The lines before the break are still accepted and counted.
            if ahead is not None:
                yield await ahead
            raise
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _take_group(self, file_id: str, group: "_Group") -> list[Taken]:
        accepted = await asyncio.gather(*(self._accept(line, file_id) for line in group.messages))
        return [*group.faults, *accepted]

    async def _start(self, file_id: str) -> MessageImport:
        now, import_id = self._clock.now(), self._new_id(ids.IMPORT)
        new = MessageImport(
            id=import_id,
            org_id=self._application.org_id,
            app_id=self._application.id,
            file_id=file_id,
            sending=import_id,
            created_at=now,
            updated_at=now,
        )
        async with self._begin() as work:
            return await work.imports.start(new)

    async def _keep(self, progress: MessageImport, taken: Sequence[Taken]) -> MessageImport:
        further = progress.after(taken, at=self._clock.now())
        async with self._begin() as work:
            if not await work.imports.keep(further, progress.listed(taken)):
                raise errors.Conflict("Another request is sending this file again and has taken the import over.")
        return further

    async def _accept(self, line: LineMessage, file_id: str) -> Taken:
        key = _key(self._application, file_id, line)
        said = replace(line.said, app=self._application.id, key=key)
        while True:
            match await self._submissions.take_well_formed(said):
                case Kept():
                    return LineAccepted(line=line.line, repeated=False)
                case SameAgain(id=None):
                    return _fault(line.line, errors.Conflict("A message with that eventId already exists"))
                case SameAgain():
                    return LineAccepted(line=line.line, repeated=True)
                case Rejected(error=error):
                    return _fault(line.line, error)
                case Deferred(error=Unavailable() as error):
                    raise error
                case Deferred(wait=wait):
                    await asyncio.sleep(wait)
                case _ as never:
                    assert_never(never)

    async def _end(self, progress: MessageImport, status: ImportStatus) -> MessageImport:
        ended = progress.ended(status, at=self._clock.now())
        async with self._begin() as work:
            await work.imports.keep(ended, [])
        _log.info(
            "import.ended",
            import_id=ended.id,
            status=ended.status,
            lines=ended.lines,
            accepted=ended.accepted,
            repeated=ended.repeated,
            refused=ended.refused,
        )
        return ended


@dataclass(slots=True)
class _Group:
    """Lines that are accepted and counted together: a bounded number of messages, any number of faults."""

    messages: list[LineMessage] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)


def _groups(lines: Sequence[Line]) -> Iterator[_Group]:
    group = _Group()
    for line in lines:
        if isinstance(line, LineFault):
            group.faults.append(line)
            continue
        if len(group.messages) == GROUP_MESSAGES:
            yield group
            group = _Group()
        group.messages.append(line)
    if group.messages or group.faults:
        yield group


def _key(application: Application, file_id: str, line: LineMessage) -> IdempotencyKey:
    """The idempotency key of a line: the same application, file id and line number is the same message."""
    asked = ("msg/import", file_id)
    return key_of(application.org_id, application.id, *asked, key=str(line.line), fingerprint=line.fingerprint)


def _fault(line: int, error: RelevoError) -> LineFault:
    code = error.kind if isinstance(error, Invalid) else error.code
    return LineFault(line=line, code=code, detail=error.detail[:MAX_DETAIL_CHARACTERS])
