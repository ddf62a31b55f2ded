"""Turns an upload into groups of parsed lines; a thread of the pool unpacks, splits and parses the bytes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.types import Scope

from service.api.incoming.files import PIECE_BYTES, LineReader, NumberedLine
from service.api.incoming.messages import read_message, said_by
from service.api.problems import fault_of, place_of
from service.api.protocol.bodies import refuse_packed
from service.api.services import Services
from service.application.access import Caller
from service.domain.errors import Invalid, UnreadableFile
from service.domain.idempotency import fingerprint_of
from service.domain.imports import MAX_REFUSED_LINES, Line, LineFault, LineMessage
from service.offloading.threads import Threads

MAX_DETAIL_CHARACTERS = 500
MAX_GROUP_LINES = 8_192


async def parsed_lines(request: Request, services: Services, caller: Caller) -> AsyncGenerator[list[Line], None]:
    """The lines of the request's body, in groups. A line that is no message becomes a LineFault. UnreadableFile."""
    refuse_packed(request, unpacked=("", "identity", "gzip", "x-gzip"))  # the reader detects gzip by its first bytes
    _refuse_form(request)
    refused = 0
    async with aclosing(_lines(request, services, caller)) as some:
        async for lines in some:
            yield lines
            refused += sum(isinstance(line, LineFault) for line in lines)
            if refused > MAX_REFUSED_LINES:
                raise UnreadableFile(
                    f"More than {MAX_REFUSED_LINES:,} lines are no message. Send one message on each line."
                )


async def _lines(request: Request, services: Services, caller: Caller) -> AsyncGenerator[list[Line], None]:
    reader = LineReader()
    take = partial(_take, reader, caller, request.scope)
    async for piece in request.stream():
        if reader.push(piece) >= PIECE_BYTES:
            async for lines in _take_lines(services.threads, take, caller):
                yield lines
    reader.end()
    async for lines in _take_lines(services.threads, take, caller):
        yield lines


async def _take_lines(
    threads: Threads, take: "partial[list[Line] | None]", caller: Caller
) -> AsyncIterator[list[Line]]:
    while (lines := await threads.run(take, tenant=caller.org_id)) is not None:
        # In groups, since a piece of very short lines may hold very many faults.
        for at in range(0, len(lines), MAX_GROUP_LINES):
            yield lines[at : at + MAX_GROUP_LINES]


def _refuse_form(request: Request) -> None:
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise UnreadableFile("This is a form. Send the file itself as the body, as `curl --data-binary @file` does.")


def _take(reader: LineReader, caller: Caller, scope: Scope) -> list[Line] | None:
    taken = reader.take()
    return None if taken is None else [_parsed(line, caller, scope) for line in taken]


def _parsed(line: NumberedLine, caller: Caller, scope: Scope) -> Line:
    number, text = line
    if text is None:
        return LineFault(line=number, code="payload_too_large", detail="The line is longer than a message may be.")
    if text.lstrip().startswith(b"["):
        return LineFault(line=number, code="value_error", detail="This is a JSON array. Send one message on each line.")
    try:
        head, payload = read_message(text, tell_in=scope)
        said = said_by(caller, request=scope, app="", head=head, payload=payload, key=None)
    except Invalid as error:
        return LineFault(line=number, code=error.kind, detail=_told(place_of(error), error.detail))
    except RequestValidationError as error:
        faults = [fault_of(fault) for fault in error.errors()]
        told = "; ".join(_told(fault.loc, fault.msg) for fault in faults)
        return LineFault(line=number, code=faults[0].type, detail=told[:MAX_DETAIL_CHARACTERS])
    # White space around the line, such as a carriage return, does not change its fingerprint.
    return LineMessage(line=number, said=said, fingerprint=fingerprint_of(text.strip()))


def _told(place: list[str], detail: str) -> str:
    return f"{'.'.join(place[1:])}: {detail}" if place[1:] else detail
