"""Imports of an application: files of messages, how far each is, and the lines that were refused."""

from fastapi import Request, Response

from service.api.dependencies import ServicesDep
from service.api.lasting import ImportsDep, LastingApplicationDep
from service.api.parameters import ImportPage, ImportRef, LinePage
from service.console.listings import listing
from service.console.pages import page, pages
from service.domain.imports import MAX_LISTED_FAULTS

router = pages("/app/{app_id}")
routers = (router,)


@router.get("/imports", operation_id="v1.message.import-list")
async def list_imports(
    *,
    request: Request,
    application: LastingApplicationDep,
    imports: ImportsDep,
    services: ServicesDep,
    asked: ImportPage,
) -> Response:
    """List the imports of an application, newest first."""
    found = listing(await imports.page(asked), asked, request.query_params, key=lambda one: one.id)
    return page(request, "imports.html", application=application, found=found, now=services.clock.now())


@router.get("/imports/{import_id}", operation_id="v1.message.import-faults")
async def show_import(
    *,
    request: Request,
    application: LastingApplicationDep,
    import_id: ImportRef,
    imports: ImportsDep,
    services: ServicesDep,
    asked: LinePage,
) -> Response:
    """Show an import with its refused lines."""
    one = await imports.get(import_id)
    faults = await imports.faults(one.id, asked)
    return page(
        request,
        "import.html",
        application=application,
        one=one,
        standing=one.standing(services.clock.now()),
        found=listing(faults, asked, request.query_params, key=lambda fault: str(fault.line)),
        most=MAX_LISTED_FAULTS,
    )
