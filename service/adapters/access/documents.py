"""JSON documents that an OpenID Connect issuer answers with: bounded, and objects or nothing."""

from collections.abc import Mapping
from typing import Any

import httpx
import orjson

MAX_DOCUMENT_BYTES = 256 * 1024


class IssuerUnreachable(Exception):
    """The issuer did not answer, or not with what it should."""


async def document(
    client: httpx.AsyncClient,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object at a URL, which a form is sent to if there is one. The caller sets a deadline.

    Raises IssuerUnreachable.
    """
    method = "GET" if form is None else "POST"
    try:
        async with client.stream(method, url, data=form, headers=headers) as answer:
            found = orjson.loads(await _bounded(answer))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TypeError) as error:
        raise IssuerUnreachable(type(error).__name__) from error
    if not isinstance(found, dict):
        raise IssuerUnreachable("the document is no object")
    return answer.status_code, found


async def _bounded(answer: httpx.Response) -> bytes:
    body = b""
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ValueError("the document is too large")
    return body
