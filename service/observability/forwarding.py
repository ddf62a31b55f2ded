"""Forwards what operators ask one of several processes to the parent, which answers for all."""

from typing import TypedDict

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

TIMEOUT_S = 65.0  # a profile takes up to a minute
MAX_BODY_BYTES = 2000
# The operators' paths and methods.
PROBES = {"/livez": ["GET"], "/healthz": ["GET"], "/readyz": ["GET"], "/startupz": ["GET"]}
FORWARDED = {**PROBES, "/metrics": ["GET"], "/admin/log-level": ["GET", "PUT"], "/admin/profile": ["POST"]}
_HEADERS = ("accept", "authorization", "content-type")


class Question(TypedDict):
    """A request as it is handed on."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    within: float


async def asked(request: Request) -> Question:
    """The request, with as much of its body as is needed to refuse one that is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            break
    return Question(
        method=request.method,
        target=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        headers={name: request.headers[name] for name in _HEADERS if name in request.headers},
        body=body[: MAX_BODY_BYTES + 1],
        within=TIMEOUT_S,
    )


def forwarding(spokesman: str, *, probes_only: bool) -> list[Route]:
    """Routes that ask `spokesman`, a base URL, what they are asked."""

    async def forward(request: Request) -> Response:
        question = await asked(request)
        try:
            async with httpx.AsyncClient(trust_env=False, verify=False, timeout=question["within"]) as client:  # noqa: S501  # it is plain HTTP to this machine
                answer = await client.request(
                    question["method"],
                    spokesman + question["target"],
                    headers=question["headers"],
                    content=question["body"],
                )
        except httpx.HTTPError:
            return PlainTextResponse("unavailable", 503)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    wanted = PROBES if probes_only else FORWARDED
    return [Route(path, forward, methods=methods, include_in_schema=False) for path, methods in wanted.items()]
