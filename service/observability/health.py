"""What Kubernetes and Prometheus ask. Every answer comes from what is known already; nothing is looked up for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from opentelemetry.instrumentation.utils import suppress_instrumentation
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

CHECK_TIMEOUT = 2.0
STALE_AFTER = 10.0
FULL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    detail: str


Findings = dict[str, Finding]


class Health:
    """The state behind the probes. `clock` is monotonic, in seconds."""

    def __init__(self, *, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._log = structlog.get_logger("relevo.health")
        self._started = False
        self._draining = False
        self._on_draining: list[Callable[[], None]] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._database: Finding | None = None
        self._checked_at = 0.0
        self._fullness: Callable[[], float] | None = None

    def started(self) -> None:
        """Everything is open; from now on the process can be ready."""
        self._started = True

    def draining(self) -> None:
        """No new traffic, please: the process is on its way out. Alive it stays."""
        self._draining = True
        for callback in self._on_draining:
            callback()

    def when_draining(self, callback: Callable[[], None]) -> None:
        """Call back when the process is on its way out, from the signal's handler."""
        self._on_draining.append(callback)

    def depends_on(self, name: str, task: "asyncio.Task[None]") -> None:
        """A task without which the process had better be restarted."""
        self._tasks[name] = task

    def watch_intake(self, fullness: Callable[[], float]) -> None:
        """How full the intake is, from 0 to 1; at 1 it refuses."""
        self._fullness = fullness

    async def check_database(self, check: Callable[[], Awaitable[object]]) -> None:
        """One look at the database, kept for the probes: `check` raises when it does not answer. Makes no spans."""
        try:
            with suppress_instrumentation():
                async with asyncio.timeout(CHECK_TIMEOUT):
                    await check()
        except Exception as error:  # noqa: BLE001 - any failure means the same to a probe
            self._remember(Finding(ok=False, detail=type(error).__qualname__))
        else:
            self._remember(Finding(ok=True, detail="answers"))

    def alive(self) -> Findings:
        """The loop turns, as this very answer shows, and the critical tasks live."""
        return {"loop": Finding(ok=True, detail="turns")} | {
            name: Finding(ok=not task.done() or self._draining, detail="ended" if task.done() else "runs")
            for name, task in self._tasks.items()
        }

    def ready(self) -> Findings:
        """Whether traffic is welcome."""
        return {
            "startup": self.startup()["startup"],
            "drain": Finding(ok=not self._draining, detail="draining" if self._draining else "no"),
            "database": self._database_now(),
            "intake": self._intake_now(),
        }

    def startup(self) -> Findings:
        """Whether everything is open."""
        return {"startup": Finding(ok=self._started, detail="complete" if self._started else "under way")}

    def routes(self) -> list[Route]:
        """Probes and metrics, to be added to the application's own."""
        return [*self.probes(), Route("/metrics", self._metrics, include_in_schema=False)]

    def probes(self) -> list[Route]:
        """What a load balancer asks, and whoever else may reach the application."""
        return [
            Route("/livez", self._probe(self.alive), include_in_schema=False),
            Route("/healthz", self._probe(self.alive), include_in_schema=False),
            Route("/readyz", self._probe(self.ready), include_in_schema=False),
            Route("/startupz", self._probe(self.startup), include_in_schema=False),
        ]

    def _probe(self, look: Callable[[], Findings]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            findings = look()
            ok = all(finding.ok for finding in findings.values())
            status = 200 if ok else 503
            if "verbose" not in request.query_params:
                return PlainTextResponse("ok" if ok else "unavailable", status)
            checks = {name: {"ok": finding.ok, "detail": finding.detail} for name, finding in findings.items()}
            return JSONResponse({"ok": ok, "checks": checks}, status)

        return answer

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), media_type=content_type)

    def _remember(self, finding: Finding) -> None:
        if self._database is None or self._database.ok != finding.ok:
            self._log.info("health.database", ok=finding.ok, detail=finding.detail)
        self._database = finding
        self._checked_at = self._clock()

    def _database_now(self) -> Finding:
        if self._database is None:
            return Finding(ok=False, detail="not checked yet")
        age = self._clock() - self._checked_at
        return self._database if age < STALE_AFTER else Finding(ok=False, detail=f"last checked {age:.0f} s ago")

    def _intake_now(self) -> Finding:
        full = self._fullness() if self._fullness is not None else 0.0
        return Finding(ok=full < FULL, detail=f"{full:.0%} full")
