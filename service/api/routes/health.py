"""The health route of the API itself. The probes that decide over traffic are outside of it."""

from service.api.json_routes import ToldRoute
from service.api.operations import Operations

router = Operations(tags=["Health"], route_class=ToldRoute)


@router.get("/health", status_code=204, operation_id="v1.health.get")
@router.head("/health", status_code=204, include_in_schema=False)
@router.get("/health/ping", status_code=204, operation_id="v1.health.ping")
@router.head("/health/ping", status_code=204, include_in_schema=False)
async def ping() -> None:
    """Tell that somebody answers. It needs no token, and says nothing of the database."""
