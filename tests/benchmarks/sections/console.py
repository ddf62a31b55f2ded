"""The console's pages with very many messages kept: how long the server takes for each, and what a browser loads."""

import gzip
import http.client
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from importlib.resources import files
from urllib.parse import urlencode

from tests.benchmarks import database, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.history import COMMON_TYPE, RARE_LABEL
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.processes import Process

WARM_UP = 5
PATIENCE = 60.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def measure(bench: Bench) -> list[Row]:
    """Each page again and again; of the slowest the p95. And the size of all scripts and styles, compressed."""
    messages, rounds = bench.plan.size(1_000_000, 4_000), bench.plan.size(60, 3)
    with ExitStack() as stack:
        used, app_id = bench.past(messages)
        process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        browser = _Browser(process, stack)
        took = {name: browser.milliseconds(path, rounds) for name, path in _pages(used, app_id).items()}
    return [_slowest(took, messages, rounds), _weight()]


class _Browser:
    """A connection with the cookie of a session."""

    def __init__(self, process: Process, stack: ExitStack) -> None:
        self._connection = http.client.HTTPConnection("localhost", process.port, timeout=PATIENCE)
        stack.callback(self._connection.close)
        self._connection.request("POST", "/console/sign-in", urlencode({"token": database.token()}), headers=_FORM)
        answer = self._connection.getresponse()
        answer.read()
        check(answer.status == 303, f"signing in is answered 303, it was {answer.status}")
        cookies = SimpleCookie(answer.headers["set-cookie"])
        self._headers = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())}

    def milliseconds(self, path: str, rounds: int) -> list[float]:
        """How long the page took, each time."""
        return [self._once(path) for _ in range(WARM_UP + rounds)][WARM_UP:]

    def _once(self, path: str) -> float:
        began = time.perf_counter()
        self._connection.request("GET", f"/console{path}", headers=self._headers)
        answer = self._connection.getresponse()
        page = answer.read()
        took = (time.perf_counter() - began) * 1e3
        check(answer.status == 200, f"{path} is answered: {answer.status} {page[:200]!r}")
        return took


def _pages(used: Database, app_id: str) -> Mapping[str, str]:
    endpoint_id, message_id = used.value("SELECT min(id) FROM endpoint"), used.value("SELECT max(id) FROM message")
    middle = used.value("SELECT id FROM message ORDER BY id OFFSET (SELECT count(*) / 2 FROM message) LIMIT 1")
    messages, endpoint = f"/app/{app_id}/messages", f"/app/{app_id}/endpoint/{endpoint_id}"
    return {
        "overview": "/overview",
        "applications": "/apps",
        "application": f"/app/{app_id}",
        "messages": messages,
        "messages from the middle": f"{messages}?iterator={middle}",
        "messages of a type": f"{messages}?event_types={COMMON_TYPE}",
        "messages with a rare tag": f"{messages}?tag={RARE_LABEL}",
        "messages that failed": f"{messages}?status=2",
        "messages of a type that failed": f"{messages}?status=2&event_types={COMMON_TYPE}",
        "message": f"/app/{app_id}/msg/{message_id}",
        "endpoint": endpoint,
        "attempts that failed": f"{endpoint}?status=2",
        "a recovery, counted": f"{endpoint}/recover?{urlencode({'since': _yesterday()})}",
        "live": f"/app/{app_id}/live",
        "imports": f"/app/{app_id}/imports",
        "event types": "/event-types",
        "search": f"/search?{urlencode({'q': 'nothing-has-this-name'})}",
        "tasks": "/tasks",
        "audit": "/audit",
        "about": "/about",
    }


def _yesterday() -> str:
    return (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")


def _slowest(took: Mapping[str, list[float]], messages: int, rounds: int) -> Result:
    p95 = {name: statistics.quantiles(times, n=20)[-1] for name, times in took.items()}
    slowest = max(p95, key=lambda name: p95[name])
    return Result(
        section="console",
        key="p95_ms",
        value=p95[slowest],
        target=Target(must=50, aim=20, better="lower"),
        meaning=f"ms for the slowest of {len(took)} pages, {slowest}, with {messages:,} messages kept",
        promise="every page a 200",
        raw={"p95_ms": {name: round(value, 2) for name, value in p95.items()}},
        runs=rounds,
    )


def _weight() -> Result:
    """What a browser loads once and keeps."""
    static = files("service.console").joinpath("static")
    sizes = {entry.name: len(gzip.compress(entry.read_bytes(), 6)) for entry in static.iterdir() if entry.is_file()}
    return Result(
        section="console",
        key="static_kb",
        value=sum(sizes.values()) / 1024,
        target=Target(must=120, better="lower"),
        meaning="KB of scripts, styles and pictures in all, compressed",
        promise="all files of the console",
        raw=dict(sizes),
    )
