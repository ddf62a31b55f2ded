"""About: the versions of what runs here, its processes, and where the documentation and the telemetry are."""

import platform
from importlib.metadata import version
from urllib.parse import urlsplit

from fastapi import Request, Response

from service.api.addresses import path_prefix
from service.api.dependencies import ServicesDep, UnitOfWorkDep
from service.console.pages import page, pages

router = pages()
routers = (router,)


# Whoever sees the whole organisation may see this; customers need not know it.
@router.get("/about", operation_id="v1.application.list")
async def show_about(request: Request, services: ServicesDep, work: UnitOfWorkDep) -> Response:
    """Show versions, the processes at work, and links."""
    return page(
        request,
        "about.html",
        version=version("relevo"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        installation=await work.installation.get(),
        processes=await work.installation.processes(),
        openapi=f"{path_prefix(request)}{request.app.openapi_url}",
        traces=None if services.trace_url is None else origin_of(services.trace_url),
    )


def origin_of(url: str) -> str:
    """The first page of a site, without the user and password that its URL may have."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
