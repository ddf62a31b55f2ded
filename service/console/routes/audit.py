"""The audit trail: who did what, when, in which request; as a list, and as a file."""

from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from service.api.audit import AUDITED_AFTER_ANSWER, AUDITED_IN_TRANSACTION
from service.api.dependencies import AuditTrailDep, UseCasesDep
from service.api.parameters import After, AuditPage, Before
from service.api.schemas.audit import AuditEventOut
from service.api.schemas.rules import written
from service.application.ports.pages import AuditFilter
from service.application.use_cases import UseCases
from service.console.exports import as_csv, as_json_lines
from service.console.listings import listing
from service.console.pages import page, pages
from service.domain.audit import AuditEvent
from service.domain.errors import NotFound
from service.domain.ids import ApplicationId
from service.domain.limits import is_name

MOST_EXPORTED = 10_000
ACTIONS = sorted({*AUDITED_IN_TRANSACTION.values(), *AUDITED_AFTER_ANSWER.values()})
NOBODY = "-"  # no action has this name, and no application
_COLUMNS = ("time", "action", "actor", "role", "token", "application", "target", "correlation id", "id")

router = pages("/audit")
routers = (router,)


async def wanted_events(
    use_cases: UseCasesDep,
    before: Before = None,
    after: After = None,
    action: Annotated[str, Query()] = "",
    application: Annotated[str, Query()] = "",
) -> AuditFilter:
    """The filter of the trail. An unknown action or application is one of which nothing was done."""
    return AuditFilter(
        before=before,
        after=after,
        action=_name(action) if action else None,
        app_id=await _application(_name(application), use_cases) if application else None,
    )


async def _application(ref: str, use_cases: UseCases) -> ApplicationId:
    """The application's id. A deleted application still has it, and no uid any more."""
    try:
        return (await use_cases.application(ref)).id
    except NotFound:
        return ApplicationId(ref)


def _name(text: str) -> str:
    return text.strip() if is_name(text.strip()) else NOBODY


WantedEvents = Annotated[AuditFilter, Depends(wanted_events)]


@router.get("", operation_id="v1.audit.list")
async def list_events(request: Request, trail: AuditTrailDep, asked: AuditPage, wanted: WantedEvents) -> Response:
    """List the audit trail, newest first."""
    found = listing(await trail.page(asked, wanted), asked, request.query_params, key=lambda event: event.id)
    return page(
        request,
        "audit.html",
        found=found,
        wanted=wanted,
        application=request.query_params.get("application", ""),
        actions=ACTIONS,
        most_exported=MOST_EXPORTED,
    )


@router.get("/export", operation_id="v1.audit.list")
async def export(
    trail: AuditTrailDep, wanted: WantedEvents, format_: Annotated[Literal["csv", "jsonl"], Query(alias="format")]
) -> Response:
    """The trail as a file, newest first."""
    events = await trail.newest(wanted, most=MOST_EXPORTED)
    if format_ == "csv":
        content, kind = as_csv(_COLUMNS, map(_cells, events)), "text/csv"
    else:
        content, kind = as_json_lines(map(AuditEventOut.of, events)), "application/jsonl"
    named = f'attachment; filename="audit.{format_}"'
    return Response(content, media_type=kind, headers={"content-disposition": named, "cache-control": "no-store"})


def _cells(event: AuditEvent) -> list[str | None]:
    return [
        written(event.at),
        event.action,
        event.actor,
        event.role,
        event.token_id,
        event.app_id,
        event.target,
        event.correlation_id,
        event.id,
    ]
