"""The page that shows the OpenAPI document, by Swagger UI. Its files come from a package, so that no other host is
asked for anything."""

from functools import cache
from hashlib import sha256
from html import escape
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException

from service.api.addresses import path_prefix

PATH = "/docs"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # Swagger UI's style sheet has its images within.
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_SWAGGER_UI = "fastapi_swagger"  # which puts the files of every release of Swagger UI into a package
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="{root}{path}/swagger-ui.css?v={version}">
  <script src="{root}{path}/swagger-ui-bundle.js?v={version}" defer></script>
  <script src="{root}{path}/documentation.js?v={version}" defer></script>
</head>
<body>
<div id="document" data-url="{root}{document}"></div>
<noscript>What shows <a href="{root}{document}">the document</a> here needs JavaScript.</noscript>
</body>
</html>
"""


def add_documentation(app: FastAPI) -> None:
    """Serve the page at PATH and its files below; the page's route has the name that FastAPI gives it."""

    async def show(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/") or path_prefix(request)
        values = {"title": f"{app.title} - API", "root": root, "path": PATH, "document": app.openapi_url}
        page = _PAGE.format_map({name: escape(str(value)) for name, value in {**values, "version": _version()}.items()})
        return HTMLResponse(page, headers={"content-security-policy": POLICY})

    app.add_route(PATH, show, name="swagger_ui_html", include_in_schema=False)
    app.add_route(f"{PATH}/{{name}}", _serve_file, include_in_schema=False)


async def _serve_file(request: Request) -> Response:
    path = _paths().get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    kept = "public, max-age=31536000, immutable" if request.query_params.get("v") == _version() else "no-cache"
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"cache-control": kept})


@cache
def _paths() -> dict[str, Path]:
    # The package is not imported: only its files are of use.
    spec = find_spec(_SWAGGER_UI)
    places = [Path(place) / "resources" for place in (spec and spec.submodule_search_locations) or ()]
    of_others = [place / name for place in places for name in ("swagger-ui-bundle.js", "swagger-ui.css")]
    ours = Path(str(files("service.api"))) / "documentation.js"
    return {path.name: path for path in (*of_others, ours)}


@cache
def _version() -> str:
    """Changes with the files."""
    ours = _paths()["documentation.js"].read_bytes()
    return sha256(version(_SWAGGER_UI).encode() + ours).hexdigest()[:12]
