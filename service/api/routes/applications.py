"""Applications: create, read, change, delete."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from service.api.dependencies import ApplicationDep, ApplicationsDep, RevocationsDep, revoked
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import ApplicationPage, ApplicationRef
from service.api.problems import documented
from service.api.schemas.applications import ApplicationIn, ApplicationOut, ApplicationPatch
from service.api.schemas.pages import ListOut, listed
from service.application.ports.pages import ApplicationFilter

GetIfExists = Annotated[bool, Query(description="Answer the application that has the uid, if there is one.")]

WithoutEndpoints = Annotated[bool, Query(description="Leave out applications that have no endpoints.")]
OnlyDisabled = Annotated[bool, Query(description="Leave out applications that have none but disabled endpoints.")]

router = Operations(prefix="/app", tags=["Application"], route_class=JsonRoute)


@router.get("", operation_id="v1.application.list", responses=documented())
async def list_applications(
    *,
    applications: ApplicationsDep,
    page: ApplicationPage,
    exclude_apps_with_no_endpoints: WithoutEndpoints = False,
    exclude_apps_with_disabled_endpoints: OnlyDisabled = False,
) -> ListOut[ApplicationOut]:
    """List the applications of the organisation."""
    left_out = ApplicationFilter(
        without_endpoints=exclude_apps_with_no_endpoints, all_disabled=exclude_apps_with_disabled_endpoints
    )
    found = await applications.page(page, left_out=left_out)
    return listed(found, key=lambda application: application.id, show=ApplicationOut.of)


@router.post(
    "",
    status_code=201,
    response_model=ApplicationOut,
    operation_id="v1.application.create",
    responses=documented(409) | {200: {"model": ApplicationOut, "description": "The one that has the uid."}},
)
async def create_application(
    *,
    body: ApplicationIn,
    applications: ApplicationsDep,
    once: OnceDep,
    get_if_exists: GetIfExists = False,
) -> Response:
    """Create an application, or with `get_if_exists` get the one that has the uid."""

    async def create() -> Answer:
        if get_if_exists:
            application, created = await applications.create_or_get(body.new())
            return Answer(body=ApplicationOut.of(application), status=201 if created else 200)
        return Answer(body=ApplicationOut.of(await applications.create(body.new())), status=201)

    return await once.answer(create)


@router.get("/{app_id}", operation_id="v1.application.get", responses=documented(404))
async def get_application(application: ApplicationDep) -> ApplicationOut:
    """Get an application by its id or uid."""
    return ApplicationOut.of(application)


@router.put("/{app_id}", operation_id="v1.application.upsert", responses=documented(404, 409, created=ApplicationOut))
async def upsert_application(
    request: Request, app_id: ApplicationRef, body: ApplicationIn, applications: ApplicationsDep, response: Response
) -> ApplicationOut:
    """Replace an application, or create it when there is none with this id or uid."""
    application, created = await applications.upsert(app_id, body.new())
    request.state.app_id = application.id
    response.status_code = 201 if created else 200
    return ApplicationOut.of(application)


@router.patch("/{app_id}", operation_id="v1.application.patch", responses=documented(404, 409))
async def patch_application(
    request: Request, app_id: ApplicationRef, body: ApplicationPatch, applications: ApplicationsDep
) -> ApplicationOut:
    """Change some of an application."""
    application = await applications.patch(app_id, body.changes())
    request.state.app_id = application.id
    return ApplicationOut.of(application)


@router.delete(
    "/{app_id}",
    status_code=204,
    dependencies=[Depends(revoked, scope="function")],
    operation_id="v1.application.delete",
    responses=documented(404),
)
async def delete_application(
    request: Request, app_id: ApplicationRef, applications: ApplicationsDep, revocations: RevocationsDep
) -> None:
    """Delete an application with its endpoints, and end its tokens. An admin's business."""
    deleted = await applications.delete(app_id)
    request.state.app_id = deleted.id
    await revocations.end(deleted.id)
