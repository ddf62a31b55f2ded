"""How late a quiet server begins what is due: messages that are meant for a moment ahead, a few each second."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import httpx

from tests.benchmarks import database, invoice, processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.sections.deliver import until
from tests.benchmarks.wire import now_ns

MESSAGES = 100
AHEAD = timedelta(seconds=63)  # a minute is the least, and sending them takes a while
APART = timedelta(milliseconds=137)
TARGETS = {"p50_ms": Target(must=50, better="lower"), "p99_ms": Target(must=50, better="lower")}


def measure(bench: Bench) -> list[Row]:
    """One `relevo serve` with nothing else to do; a delivery is as late as it arrives after its `deliverAt`."""
    with ExitStack() as stack:
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex()))
        used = stack.enter_context(bench.database("punctuality"))
        process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        api = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{process.port}/api/v1",
                headers={"authorization": f"Bearer {database.token()}"},
                trust_env=False,
            )
        )
        app_id = used.add_application(f"{receiver.url}/0")
        first = datetime.now(UTC) + AHEAD
        for nth in range(MESSAGES):
            _owe(api, app_id, at=first + nth * APART)
        time.sleep((first - datetime.now(UTC)).total_seconds())
        until(lambda: bool(receiver.ask("GET", "/count") >= MESSAGES))
        report = receiver.ask("GET", "/report")
    check(report["verified"] == report["distinct"] == MESSAGES, f"each arrives once, signed: {report}")
    late = {f"{share}_ms": delay for share, delay in report["delays_ms"].items()}
    return [
        Result(
            section="punctuality",
            key=key,
            value=late[key],
            target=target,
            meaning="ms from `deliverAt` to the receiver, on a server with nothing else to do",
            promise=f"{MESSAGES} messages, each received once, its signature verified",
            raw=late,
        )
        for key, target in TARGETS.items()
    ]


def _owe(api: httpx.Client, app_id: str, *, at: datetime) -> None:
    """A message whose stamp, from which the receiver counts, is the moment it is meant for."""
    stamp = f"{now_ns() + int((at - datetime.now(UTC)).total_seconds() * 1e9):020}"
    payload = invoice.written(at=stamp)
    body = f'{{"eventType": "invoice.paid", "deliverAt": "{at.isoformat()}", "payload": {payload}}}'
    api.post(f"/app/{app_id}/msg", content=body).raise_for_status()
