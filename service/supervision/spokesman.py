"""Probes, `/metrics` and `/admin` of all processes together, answered by their parent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.observability.forwarding import FORWARDED, asked
from service.observability.health import Finding, Findings, probed
from service.observability.merging import Merged, merged, read
from service.supervision.child import Child
from service.supervision.supervisor import Supervisor

NOBODY = "No process answers."


class Spokesman:
    """Answers for the processes of `supervisor`. `registry` has the parent's own metrics."""

    def __init__(self, supervisor: Supervisor, *, registry: CollectorRegistry) -> None:
        self._supervisor = supervisor
        self._registry = registry

    def routes(self) -> list[Route]:
        """What one process has, for all."""
        handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/livez": self._alive,
            "/healthz": self._alive,
            "/readyz": self._ready,
            "/startupz": self._startup,
            "/metrics": self._metrics,
            "/admin/log-level": self._admin,
            "/admin/profile": self._profile,
        }
        return [
            Route(path, handlers[path], methods=methods, include_in_schema=False) for path, methods in FORWARDED.items()
        ]

    async def _alive(self, request: Request) -> Response:
        """Alive while one of them is: the parent replaces the others itself. Before the first start it is, too."""
        findings = await self._findings("/livez")
        return probed(request, findings, ok=not self._supervisor.started or _any(findings))

    async def _ready(self, request: Request) -> Response:
        findings = await self._findings("/readyz")
        return probed(request, findings, ok=not self._supervisor.stopping and _any(findings))

    async def _startup(self, request: Request) -> Response:
        return probed(request, await self._findings("/startupz"), ok=self._supervisor.started)

    async def _findings(self, probe: str) -> Findings:
        """A finding for each process; one that is not all right names what is not."""
        children = self._supervisor.alive
        found = await asyncio.gather(*(child.findings(probe) for child in children))
        return {f"process {each.number}, {each.pid}": _all(of) for each, of in zip(children, found, strict=True)}

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        own = read(generate_latest(self._registry).decode())
        together = CollectorRegistry()
        together.register(Merged(merged([await self._supervisor.exposition(), own])))
        return Response(encode(together), media_type=content_type)

    async def _admin(self, request: Request) -> Response:
        """All do it, and the answer is the worst."""
        return await self._handed(request, self._supervisor.alive)

    async def _profile(self, request: Request) -> Response:
        """One does it: the first, or the one that was named."""
        number = request.query_params.get("process")
        children = [child for child in self._supervisor.alive if number in {None, str(child.number)}]
        return await self._handed(request, children[:1])

    async def _handed(self, request: Request, children: Sequence[Child]) -> Response:
        question = await asked(request)
        answers = await asyncio.gather(*(child.ask(**question) for child in children))
        heard = [answer for answer in answers if answer is not None]
        if len(heard) < len(answers) or not heard:
            return Response(NOBODY, 503, media_type="text/plain")
        worst = max(heard, key=lambda answer: answer.status_code)
        return Response(worst.content, worst.status_code, media_type=worst.headers.get("content-type"))


def _any(findings: Findings) -> bool:
    return any(finding.ok for finding in findings.values())


def _all(findings: Findings) -> Finding:
    faults = [f"{name}: {finding.detail}" for name, finding in findings.items() if not finding.ok]
    return Finding(ok=not faults, detail=", ".join(faults) or "yes")
