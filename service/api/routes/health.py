"""The interface's own health routes. Probes with a say in traffic have theirs outside of it."""

from fastapi import APIRouter

router = APIRouter(tags=["Health"])


@router.api_route("/health", methods=["GET", "HEAD"], status_code=204, include_in_schema=False)
@router.api_route("/health/ping", methods=["GET", "HEAD"], status_code=204, include_in_schema=False)
async def ping() -> None:
    """Whether somebody answers."""
