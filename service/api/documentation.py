"""The page that shows the API's document, and the policy by which a browser loads what it names, and no more."""

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

PATH = "/docs"
_SCRIPT = re.compile(r"<script(?:\s+src=\"([^\"]+)\")?[^>]*>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<link[^>]*rel=\"stylesheet\"[^>]*href=\"([^\"]+)\"")
_ICON = re.compile(r"<link[^>]*rel=\"shortcut icon\"[^>]*href=\"([^\"]+)\"")


def add_documentation(app: FastAPI) -> None:
    """Serve the page at PATH, under the name that FastAPI gives it."""

    async def show(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(openapi_url=f"{root}{app.openapi_url}", title=f"{app.title} - API")
        page.headers["content-security-policy"] = policy_for(bytes(page.body).decode())
        return page

    app.add_route(PATH, show, name="swagger_ui_html", include_in_schema=False)


def policy_for(page: str) -> str:
    """What a browser may load for the page: its own scripts and styles, and of the API what it asks for."""
    scripts = [source or f"'sha256-{_digest(text)}'" for source, text in _SCRIPT.findall(page)]
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_listed(scripts)}",
            # Swagger UI sets styles on what it draws, and has its pictures in itself.
            f"style-src 'unsafe-inline' {_listed(_STYLE.findall(page))}",
            f"img-src data: {_listed(_origin(icon) for icon in _ICON.findall(page))}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _listed(sources: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(sources))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"


def _digest(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
