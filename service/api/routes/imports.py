"""Imports: files of messages, read line by line while they arrive. No body limit applies."""

from contextlib import aclosing
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Query, Request

from service.api.dependencies import OrganisationDep, ServicesDep
from service.api.idempotency import KEY_HOURS
from service.api.incoming.imports import parsed_lines
from service.api.json_routes import ToldRoute
from service.api.lasting import ImportsDep
from service.api.operations import Operations
from service.api.parameters import ImportPage, ImportRef, LinePage
from service.api.problems import documented
from service.api.schemas.imports import LineFaultOut, MessageImportOut
from service.api.schemas.pages import ListOut, listed
from service.api.schemas.rules import GivenName

router = Operations(prefix="/app/{app_id}", tags=["Message"], route_class=ToldRoute)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A message on each line, as `MessageIn` has it; gzip or not.",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"eventType":"invoice.paid","payload":{"id":1}}\n',
            },
            "application/gzip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

FileId = Annotated[
    GivenName | None,
    Query(description=f"Your name for the file. Sent again under it within {KEY_HOURS} h, no line is accepted twice."),
]


@router.post("/msg/import", operation_id="v1.message.import", responses=documented(404, 409, 429), openapi_extra=_BODY)
async def import_messages(
    *,
    request: Request,
    services: ServicesDep,
    caller: OrganisationDep,
    imports: ImportsDep,
    file_id: FileId = None,
) -> MessageImportOut:
    """Send a file of messages. Answers when the file is through; lines that are no message are refused one by one."""
    async with aclosing(parsed_lines(request, services, caller)) as lines:
        taken = await imports.take(file_id or uuid4().hex, lines)
    return MessageImportOut.of(taken, now=services.clock.now())


@router.get("/import", operation_id="v1.message.import-list", responses=documented(404))
async def list_imports(imports: ImportsDep, page: ImportPage, services: ServicesDep) -> ListOut[MessageImportOut]:
    """List the imports of an application, newest first.

    Not below `msg`: there `import` is also what a message may be called by its `eventId`.
    """
    now = services.clock.now()
    return listed(
        await imports.page(page), key=lambda found: found.id, show=lambda found: MessageImportOut.of(found, now=now)
    )


@router.get("/msg/import/{import_id}", operation_id="v1.message.import-get", responses=documented(404))
async def get_import(import_id: ImportRef, imports: ImportsDep, services: ServicesDep) -> MessageImportOut:
    """Get an import by its id, or by that of its file: how far it is."""
    return MessageImportOut.of(await imports.get(import_id), now=services.clock.now())


@router.get("/msg/import/{import_id}/fault", operation_id="v1.message.import-faults", responses=documented(404))
async def list_import_faults(import_id: ImportRef, imports: ImportsDep, page: LinePage) -> ListOut[LineFaultOut]:
    """List the lines that were refused, by number: the first 10,000 of them."""
    return listed(await imports.faults(import_id, page), key=lambda fault: str(fault.line), show=LineFaultOut.of)
