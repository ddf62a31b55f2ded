"""The list routes with very many messages kept, against few: a page costs the same, whatever it is narrowed to."""

import http.client
import math
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import orjson

from tests.benchmarks import database, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.history import COMMON_LABEL, COMMON_TYPE, ENDPOINTS, RARE_LABEL, RARE_TYPE, WEEKS
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.processes import Process

WARM_UP = 5
PATIENCE = 60.0


def measure(bench: Bench) -> list[Row]:
    """A page of few and a page of many by turns, again and again; of each route the ratio of the medians."""
    few, many = bench.plan.size(10_000, 1_000), bench.plan.size(1_000_000, 4_000)
    rounds = bench.plan.size(60, 3)
    with ExitStack() as stack:
        asking = {size: _Asking(bench, stack, size) for size in (few, many)}
        took = {route: _in_turns(asking[few], asking[many], route, rounds) for route in asking[many].routes}
    return [_result(took, few, many, rounds)]


class _Asking:
    """One client of one process, on a database with that many messages."""

    def __init__(self, bench: Bench, stack: ExitStack, size: int) -> None:
        used, app_id = bench.past(size)
        self.routes = _routes(used, app_id)
        process: Process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        self._connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=PATIENCE)
        self._headers = {"Authorization": f"Bearer {database.token()}"}
        stack.callback(self._connection.close)

    def seconds(self, route: str) -> float:
        """How long one page of it takes."""
        began = time.perf_counter()
        self._connection.request("GET", self.routes[route], headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - began
        check(answer.status == 200, f"{route} is answered: {answer.status} {body[:200]!r}")
        check(orjson.loads(body).get("data", True), f"{route} lists something")
        return took


def _in_turns(few: _Asking, many: _Asking, route: str, rounds: int) -> tuple[float, float]:
    took = [(few.seconds(route), many.seconds(route)) for _ in range(WARM_UP + rounds)][WARM_UP:]
    return statistics.median(pair[0] for pair in took), statistics.median(pair[1] for pair in took)


def _routes(used: Database, app_id: str) -> Mapping[str, str]:
    endpoint_id, message_id = used.value("SELECT min(id) FROM endpoint"), used.value("SELECT max(id) FROM message")
    middle = used.value("SELECT id FROM message ORDER BY id OFFSET (SELECT count(*) / 2 FROM message) LIMIT 1")
    half_way = quote((datetime.now(UTC) - timedelta(weeks=WEEKS) / 2).isoformat())
    messages = f"/api/v1/app/{app_id}/msg?limit=50"
    attempts = f"/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}?limit=50"
    tried = f"/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg?limit=50"
    return {
        "messages": messages,
        "messages from the middle": f"{messages}&iterator={middle}",
        "messages back from the middle": f"{messages}&iterator=-{middle}",
        "messages before a time": f"{messages}&before={half_way}",
        "messages of a rare type": f"{messages}&event_types={RARE_TYPE}",
        "messages of two types": f"{messages}&event_types={RARE_TYPE},{COMMON_TYPE}",
        "messages with a rare tag": f"{messages}&tag={RARE_LABEL}",
        "messages with a common tag": f"{messages}&tag={COMMON_LABEL}",
        "messages of a common channel": f"{messages}&channel={COMMON_LABEL}",
        "messages of a common channel and type": f"{messages}&channel={COMMON_LABEL}&event_types={COMMON_TYPE}",
        "attempts of an endpoint": attempts,
        "failed attempts of an endpoint": f"{attempts}&status=2",
        "attempts of an endpoint answered 5xx": f"{attempts}&status_code_class=500",
        "attempts of an endpoint of a rare type": f"{attempts}&event_types={RARE_TYPE}",
        "attempts of an endpoint with a rare tag": f"{attempts}&tag={RARE_LABEL}",
        "attempts of a message": f"/api/v1/app/{app_id}/attempt/msg/{message_id}",
        "destinations of a message": f"/api/v1/app/{app_id}/msg/{message_id}/endpoint",
        "messages of an endpoint": tried,
        "failed messages of an endpoint": f"{tried}&status=2",
        "messages still being sent to an endpoint": f"{tried}&status=3",
        "messages of an endpoint of a rare type": f"{tried}&event_types={RARE_TYPE}",
        "statistics of an endpoint": f"/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
        "applications": "/api/v1/app",
    }


def _result(took: Mapping[str, tuple[float, float]], few: int, many: int, rounds: int) -> Result:
    ratios = {route: of_few / of_many for route, (of_few, of_many) in took.items()}
    worst = min(ratios, key=lambda route: ratios[route])
    slowest = max(took, key=lambda route: took[route][1])
    return Result(
        section="lists",
        key="ratio",
        value=math.exp(statistics.fmean(map(math.log, ratios.values()))),
        target=Target(must=0.7, aim=1.0),
        meaning=f"times as quick at {many:,} messages and {many * ENDPOINTS:,} attempts as at {few:,} messages, mean of"
        f" {len(took)} routes; the worst are {worst}, {ratios[worst]:.2f}; the slowest {slowest},"
        f" {took[slowest][1] * 1e3:.1f} ms",
        promise="every page a 200 with something on it",
        raw={
            "ratios": {route: round(ratio, 3) for route, ratio in ratios.items()},
            "few_ms": {route: round(of_few * 1e3, 2) for route, (of_few, _) in took.items()},
            "many_ms": {route: round(of_many * 1e3, 2) for route, (_, of_many) in took.items()},
        },
        runs=rounds,
    )
