"""The probes and `/metrics`. Answers come from state that is in memory; no probe runs a query."""

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

DATABASE_CHECK_TIMEOUT_S = 2.0
CHECK_MAX_AGE_S = 10.0
INTAKE_FULL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    ok: bool
    detail: str


Findings = dict[str, Finding]


def probed(request: Request, findings: Findings, *, ok: bool) -> Response:
    """The answer of a probe; with `?verbose` it has the findings."""
    status = 200 if ok else 503
    if "verbose" not in request.query_params:
        return PlainTextResponse("ok" if ok else "unavailable", status)
    checks = {name: {"ok": finding.ok, "detail": finding.detail} for name, finding in findings.items()}
    return JSONResponse({"ok": ok, "checks": checks}, status)


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
        self._databases: dict[str | None, tuple[Finding, float]] = {}
        self._fullness: list[Callable[[], float]] = []
        self._needs: dict[str, Callable[[], bool]] = {}

    def started(self) -> None:
        """Start-up is complete; from now on the process can be ready."""
        self._started = True

    def draining(self) -> None:
        """The process is shutting down: not ready any more, but still alive."""
        self._draining = True
        for callback in self._on_draining:
            callback()

    def when_draining(self, callback: Callable[[], None]) -> None:
        """Call back from the signal handler when the process begins to shut down."""
        self._on_draining.append(callback)

    def depends_on(self, name: str, task: "asyncio.Task[None]", *, database: str | None = None) -> None:
        """Watch a critical task, of one of several databases: when it ends, the process is not alive and should be
        restarted."""
        self._tasks[name if database is None else f"{name} of {database}"] = task

    def watch_intake(self, fullness: Callable[[], float]) -> None:
        """A function that says how full the intake's queue is, from 0 to 1; at 1 it refuses messages. Of several, one
        for each database, the emptiest counts."""
        self._fullness.append(fullness)

    def need(self, what: str, holds: Callable[[], bool]) -> None:
        """Something else without which the process is not ready."""
        self._needs[what] = holds

    async def check_database(self, check: Callable[[], Awaitable[object]], *, name: str | None = None) -> bool:
        """Check the database once, keep the result for the probes, and say whether it answers. `check` raises on
        failure. Of several databases each has a `name`. Makes no spans."""
        try:
            with suppress_instrumentation():
                async with asyncio.timeout(DATABASE_CHECK_TIMEOUT_S):
                    await check()
        except Exception as error:  # noqa: BLE001 - any failure means the same to a probe
            self._remember(name, Finding(ok=False, detail=type(error).__qualname__))
            return False
        self._remember(name, Finding(ok=True, detail="answers"))
        return True

    def database_lost(self, name: str, reason: str) -> None:
        """One of several databases could not be opened."""
        self._remember(name, Finding(ok=False, detail=reason))

    def answers(self, name: str) -> bool:
        """Whether one of several databases answers, as far as is known."""
        return self._database_now(name).ok

    def is_down(self, name: str) -> bool:
        """Whether one of several databases did not answer when it was last checked, however long ago that was."""
        return name in self._databases and not self._databases[name][0].ok

    def alive(self) -> Findings:
        """For `/livez`: whether the critical tasks run. That the event loop turns is shown by this answer itself."""
        return {"loop": Finding(ok=True, detail="turns")} | {
            name: Finding(ok=not task.done() or self._draining, detail="ended" if task.done() else "runs")
            for name, task in self._tasks.items()
        }

    def ready(self) -> Findings:
        """For `/readyz`: whether the process wants traffic. Of several databases one has to answer: whose database does
        not is told so, and everybody else is served."""
        return {
            "startup": self.startup()["startup"],
            "drain": Finding(ok=not self._draining, detail="draining" if self._draining else "no"),
            "database": self._some_database(),
            "intake": self._check_intake(),
            **{what: _known(holds=holds()) for what, holds in self._needs.items()},
        }

    def startup(self) -> Findings:
        """For `/startupz`: whether start-up is complete."""
        return {"startup": Finding(ok=self._started, detail="complete" if self._started else "under way")}

    def routes(self) -> list[Route]:
        """Probes and `/metrics`, for the ops port or the application's own routes."""
        return [*self.probes(), Route("/metrics", self._metrics, include_in_schema=False)]

    def probes(self) -> list[Route]:
        """The probes alone, for a port that strangers can reach."""
        return [
            Route("/livez", self._probe(self.alive), include_in_schema=False),
            Route("/healthz", self._probe(self.alive), include_in_schema=False),
            Route("/readyz", self._probe(self.ready), include_in_schema=False),
            Route("/startupz", self._probe(self.startup), include_in_schema=False),
        ]

    def _probe(self, look: Callable[[], Findings]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            findings = look()
            return probed(request, findings, ok=all(finding.ok for finding in findings.values()))

        return answer

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), media_type=content_type)

    def _remember(self, name: str | None, finding: Finding) -> None:
        if name not in self._databases or self._databases[name][0].ok != finding.ok:
            which = {} if name is None else {"database": name}
            self._log.info("health.database", ok=finding.ok, detail=finding.detail, **which)
        self._databases[name] = finding, self._clock()

    def _database_now(self, name: str | None) -> Finding:
        if name not in self._databases:
            return Finding(ok=False, detail="not checked yet")
        finding, checked_at = self._databases[name]
        age = self._clock() - checked_at
        return finding if age < CHECK_MAX_AGE_S else Finding(ok=False, detail=f"last checked {age:.0f} s ago")

    def _some_database(self) -> Finding:
        named = {name: self._database_now(name) for name in self._databases if name is not None}
        if not named:
            return self._database_now(None)
        told = "; ".join(f"{name} {finding.detail}" for name, finding in named.items())
        return Finding(ok=any(finding.ok for finding in named.values()), detail=told)

    def _check_intake(self) -> Finding:
        full = min((fullness() for fullness in self._fullness), default=0.0)
        return Finding(ok=full < INTAKE_FULL, detail=f"{full:.0%} full")


def _known(*, holds: bool) -> Finding:
    return Finding(ok=holds, detail="known" if holds else "not known yet")
