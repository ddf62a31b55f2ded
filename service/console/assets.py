"""The console's own style sheet and scripts, with names that change with their content, so browsers may keep them."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import Request, Response
from starlette.exceptions import HTTPException

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@cache
def _contents() -> dict[str, bytes]:
    return {
        entry.name: entry.read_bytes()
        for entry in files("service.console").joinpath("static").iterdir()
        if entry.name.rpartition(".")[2] in _TYPES
    }


@cache
def address(name: str) -> str:
    """The path of an asset, with the digest of its content."""
    return f"/console/static/{name}?v={sha256(_contents()[name]).hexdigest()[:12]}"


async def serve_asset(request: Request) -> Response:
    """Answer with an asset. HTTPException 404."""
    name = request.path_params["name"]
    content = _contents().get(name)
    if content is None:
        raise HTTPException(404)
    kept = "public, max-age=31536000, immutable" if request.query_params.get("v") else "no-cache"
    media_type = _TYPES[name.rpartition(".")[2]]
    return Response(content, media_type=media_type, headers={"cache-control": kept})
