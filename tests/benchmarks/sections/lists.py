"""The list routes with very many messages kept, against few: keyset pages cost the same."""

import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from tests.benchmarks import database, processes, relevo, wire
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.owed import attempt, settle_down
from tests.benchmarks.processes import Process

FEW = 10_000
CONNECTIONS = 8
SHARE = 3  # the routes share the time of a turn


def measure(bench: Bench) -> list[Row]:
    """Every list route on both databases, in turns; the ratio is the geometric mean of the routes' own."""
    many = bench.plan.size(1_000_000, 60_000)
    with ExitStack() as stack:
        turns = {}
        for size in (FEW, many):
            used = stack.enter_context(bench.database(f"lists_{size}"))
            app_id = used.add_application("http://127.0.0.1:9/")
            attempt(used, messages=size)
            settle_down(used)
            process = stack.enter_context(relevo.serving(used, relevo.SILENT))
            for route, path in _routes(used, app_id).items():
                turns[f"{route} of {size}"] = partial(_listed, bench, process, path)
        figures = in_turns(bench.plan.turns, turns)
    ratios = {
        route.removesuffix(f" of {many}"): figure.median / figures[route.replace(f" of {many}", f" of {FEW}")].median
        for route, figure in figures.items()
        if route.endswith(f" of {many}")
    }
    return [_result(bench, figures, ratios, many)]


def _routes(used: Database, app_id: str) -> Mapping[str, str]:
    endpoint_id, message_id = used.value("SELECT id FROM endpoint"), used.value("SELECT max(id) FROM message")
    middle = used.value("SELECT id FROM message ORDER BY id OFFSET (SELECT count(*) / 2 FROM message) LIMIT 1")
    of_app = f"/api/v1/app/{app_id}"
    return {
        "messages": f"{of_app}/msg?limit=50",
        "messages from the middle": f"{of_app}/msg?limit=50&iterator={middle}",
        "attempts by endpoint": f"{of_app}/attempt/endpoint/{endpoint_id}?limit=50",
        "attempts by message": f"{of_app}/attempt/msg/{message_id}",
        "messages by endpoint": f"{of_app}/endpoint/{endpoint_id}/msg?limit=50",
    }


def _listed(bench: Bench, process: Process, path: str) -> Turn:
    request = wire.get(path, token=database.token())
    job = Job(
        port=process.port,
        requests=[request],
        connections=CONNECTIONS,
        warm_up=0.3,
        seconds=bench.plan.seconds / SHARE,
    )
    done, turn = bench.drive(job, process)
    check(set(done.statuses) == {"200"}, f"{path} is answered: {done.statuses}")
    check(_items(process, path), f"{path} lists something")
    return turn


def _items(process: Process, path: str) -> bool:
    _, body = processes.exchange(process.port, "GET", path, headers={"Authorization": f"Bearer {database.token()}"})
    return bool(json.loads(body)["data"])


def _result(bench: Bench, figures: dict[str, Figures], ratios: dict[str, float], many: int) -> Result:
    slowest = min(ratios, key=lambda route: ratios[route])
    return Result(
        section="lists",
        key="ratio",
        value=math.exp(sum(map(math.log, ratios.values())) / len(ratios)),
        target=Target(must=0.7, aim=1.0),
        meaning=f"pages/s with {many:,} messages, of {FEW:,}; the worst are {slowest}, {ratios[slowest]:.2f}",
        promise="every page a 200 with something on it",
        raw={"routes": ratios, **raw(figures)},
        runs=bench.plan.turns,
        spread=max(figure.spread for figure in figures.values()),
    )
