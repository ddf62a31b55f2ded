"""What groups of settings share, and what parses and checks variables. A ValueError says what is wrong with a value."""

import json
import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

Family = Literal["webhook", "svix"]
Level = Literal["debug", "info", "warning", "error"]
Network = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=0, le=65535)]
Delay = Annotated[float, Field(strict=True, gt=0, le=30 * 86_400, allow_inf_nan=False)]

_HOST = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,252})")
# Browsers have no other characters in a host: they write names of other letters in punycode.
_PLACE = re.compile(r"(?P<host>\[(?P<v6>[0-9a-f:.]+)\]|[0-9a-z_](?:[0-9a-z_.-]{0,251}[0-9a-z])?)(?::[0-9]{1,5})?")
_USUAL_PORTS = {"https": 443, "http": 80}
_EMBEDDER = re.compile(r"(https://[0-9A-Za-z][0-9A-Za-z.-]*|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?")
_PATH = re.compile(r"(?:/[0-9A-Za-z._~!$&'()*+,;=:%-]*)*")
_DATABASE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_MIN_SECRET_CHARACTERS = 32


class Group(BaseModel):
    """A group of settings. Each field carries the environment variable that sets it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def split(value: object) -> object:
    """The parts between commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def networks(value: object) -> object:
    """The networks between commas."""
    return [ip_network(part.strip()) for part in value.split(",")] if isinstance(value, str) else value


def json_list(value: object) -> object:
    """A list from JSON text. ValueError if it is not one."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, list):
        raise ValueError("it is not a JSON list")  # noqa: TRY004  # pydantic reports a ValueError as the value's fault
    return read


def json_object(value: object) -> object:
    """The names and values of a JSON object, in order. ValueError if it is none, or names something twice."""
    if not isinstance(value, str):
        return value
    try:
        return _one_object(json.loads(value, object_pairs_hook=_named_once))
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("it is not a JSON object") from None


def lower(value: object) -> object:
    """In lower case."""
    return value.lower() if isinstance(value, str) else value


def refuse_what_is_no_host(host: str) -> None:
    """ValueError unless it is a host name or an IP address."""
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise ValueError("it is a name or an address, without a port and without brackets") from None
    elif not _HOST.fullmatch(host):
        raise ValueError("it is neither a name nor an address")


def refuse_what_is_no_name(name: str) -> None:
    """ValueError unless a database may have that name, which is a label of metrics."""
    if not _DATABASE_NAME.fullmatch(name):
        raise ValueError("a database's name has at most 32 small letters, digits and inner hyphens")


def as_browsers_write(origin: str) -> str:
    """The origin as browsers send it in `Origin`: in small letters, and without the port that is usual. ValueError if
    they never send it."""
    found = _origin_and_rest(origin)
    if found is None or found[1]:
        raise ValueError("an origin is https://host or http://host:port in ASCII, without a path")
    return found[0]


def public_address(url: str) -> str:
    """The URL with its origin as browsers write it, and without a slash at its end. ValueError unless it is one that
    links can begin with."""
    found = _origin_and_rest(url)
    if found is None or not _PATH.fullmatch(found[1]):
        raise ValueError("it is a URL in ASCII with http:// or https:// and a host, without a query, a user or blanks")
    return "".join(found).rstrip("/")


def refuse_what_may_not_embed(origin: str) -> None:
    """ValueError unless it is one origin as Content-Security-Policy names it, over TLS or on this machine."""
    if not (is_web_address(origin) and _EMBEDDER.fullmatch(origin)):
        raise ValueError("an origin that may embed it is https://host or https://host:port, without a path or a `*`")


def is_web_address(url: str) -> bool:
    """Whether it is `https://` or `http://` with a host, and a port if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def _origin_and_rest(url: str) -> tuple[str, str] | None:
    """Its origin as browsers write it, and what is behind that; None unless both are there as they can be."""
    if not is_web_address(url):
        return None
    parts = urlsplit(url)
    place = _PLACE.fullmatch(parts.netloc.lower())
    if place is None or ".." in place["host"]:
        return None
    try:
        host = f"[{IPv6Address(place['v6'])}]" if place["v6"] else place["host"]
    except ValueError:
        return None
    shown = "" if parts.port in {None, _USUAL_PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{shown}", url[len(parts.scheme) + len("://") + len(parts.netloc) :]


def refuse_unusable_address(url: str) -> None:
    """ValueError unless it is a URL of a PostgreSQL. Its parts are checked where connections are opened."""
    if not url.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
        raise ValueError("it has to be an address of PostgreSQL, as postgresql://user:password@host/database")


def _named_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("it has a name twice")
    return read


def _one_object(read: object) -> object:
    if not isinstance(read, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  # pydantic reports a ValueError as the value's fault
    return read


def keys(value: object) -> object:
    """Keys separated by commas or as a JSON list. The first one encrypts."""
    text = value.strip() if isinstance(value, str) else ""
    listed = json_list(text) if text.startswith("[") else value
    return listed.split(",") if isinstance(listed, str) else listed


def refuse_short_secret(secret: str) -> None:
    """ValueError for a secret short enough to be guessed."""
    if len(secret.strip()) < _MIN_SECRET_CHARACTERS:
        raise ValueError(f"a secret needs at least {_MIN_SECRET_CHARACTERS} characters")
