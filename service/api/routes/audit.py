"""The audit trail: list its events."""

from fastapi import Depends

from service.api.dependencies import AuditTrailDep, organisation
from service.api.json_routes import ToldRoute
from service.api.operations import Operations
from service.api.parameters import AuditPage
from service.api.problems import documented
from service.api.schemas.audit import AuditEventOut
from service.api.schemas.pages import ListOut, listed

router = Operations(prefix="/audit", tags=["Audit"], route_class=ToldRoute)


@router.get("", dependencies=[Depends(organisation)], operation_id="v1.audit.list", responses=documented())
async def list_audit_events(trail: AuditTrailDep, page: AuditPage) -> ListOut[AuditEventOut]:
    """List the sensitive acts of the organisation's callers, newest first. An admin's business."""
    return listed(await trail.page(page), key=lambda event: event.id, show=AuditEventOut.of)
