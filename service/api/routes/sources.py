"""Sources: brokers that messages come in from. Create, read, change, delete, and what was refused."""

from fastapi import Response

from service.api.dependencies import SourcesDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import SourceFaultPage, SourcePage, SourceRef
from service.api.problems import documented
from service.api.schemas.pages import ListOut, listed
from service.api.schemas.sources import SourceFaultOut, SourceIn, SourceOut, SourcePatch

router = Operations(prefix="/source", tags=["Source"], route_class=JsonRoute)


@router.get("", operation_id="v1.source.list", responses=documented())
async def list_sources(sources: SourcesDep, page: SourcePage) -> ListOut[SourceOut]:
    """List the organisation's sources, newest first, and how each is read."""
    return listed(await sources.page(page), key=lambda read: read.source.id, show=SourceOut.of)


@router.post(
    "", status_code=201, response_model=SourceOut, operation_id="v1.source.create", responses=documented(400, 409)
)
async def create_source(body: SourceIn, sources: SourcesDep, once: OnceDep) -> Response:
    """Create a source. Reading begins at once, in every process that serves."""

    async def create() -> Answer:
        return Answer(body=SourceOut.of(await sources.create(body.new())), status=201)

    return await once.answer(create)


@router.get("/{source_id}", operation_id="v1.source.get", responses=documented(404))
async def get_source(source_id: SourceRef, sources: SourcesDep) -> SourceOut:
    """Get a source without its credentials, and how it is read: whether it runs, or why not, and how much waits."""
    return SourceOut.of(await sources.get(source_id))


@router.patch("/{source_id}", operation_id="v1.source.patch", responses=documented(404))
async def patch_source(source_id: SourceRef, body: SourcePatch, sources: SourcesDep) -> SourceOut:
    """Change some of a source. Its kind stays."""
    return SourceOut.of(await sources.patch(source_id, body.changes()))


@router.delete("/{source_id}", status_code=204, operation_id="v1.source.delete", responses=documented(404))
async def delete_source(source_id: SourceRef, sources: SourcesDep) -> None:
    """Delete a source with its faults. Nothing is deleted at the broker, and what was accepted stays."""
    await sources.delete(source_id)


@router.get("/{source_id}/fault", operation_id="v1.source.faults", responses=documented(404))
async def list_source_faults(
    source_id: SourceRef, sources: SourcesDep, page: SourceFaultPage
) -> ListOut[SourceFaultOut]:
    """List the messages of a source that were refused for good, newest first: the latest 1,000 of them."""
    return listed(await sources.faults(source_id, page), key=lambda fault: fault.id, show=SourceFaultOut.of)
