"""Where callers and browsers reach us: by the setting for the public URL, or as the request says."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection


def base_url(request: HTTPConnection) -> str:
    """Where we are reached. Without the setting, the request's own base URL is all that is known."""
    public_url: str | None = request.app.state.public_url
    return str(request.base_url).rstrip("/") if public_url is None else public_url


def path_prefix(request: HTTPConnection) -> str:
    """The path of the public URL, below which browsers find our pages, and which a proxy takes off before us; empty
    without one."""
    return prefix_of(request.app.state.public_url)


def prefix_of(public_url: str | None) -> str:
    """The path of that URL, without a slash at its end."""
    return "" if public_url is None else urlsplit(public_url).path.rstrip("/")
