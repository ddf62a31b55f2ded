"""The demo with real brokers."""

import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from deploy.brokers.together import Brokers
from service.commands.demo.story import EVENTS

WIDE = {**os.environ, "COLUMNS": "160"}
SPANS = ("process nats CONSUMER", "send messages PRODUCER", "send batch PRODUCER")


async def demo(*options: Any) -> tuple[int | None, str, str]:
    """`relevo demo`, to its end: its status, and what it said."""
    command = [sys.executable, "-m", "service", "demo", *map(str, options)]
    process = await create_subprocess_exec(*command, env=WIDE, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_events_come_from_jetstream_and_leave_everywhere_in_order_in_one_trace(
    brokers: Brokers, tmp_path: Path
) -> None:
    addresses = tmp_path / "brokers.json"
    addresses.write_text(brokers.as_json())

    status, out, err = await demo("--brokers", addresses)

    assert status == 0, out + err
    assert out.count("signature ok") >= EVENTS
    assert "yes All got them in the same order" in out
    trace = out.partition("Traces of")[2]
    assert [trace.count(name) for name in SPANS] == [1, 1, 3], out
    assert all(kind in trace for kind in ("fifoEndpoint", "rabbitMq", "kafka"))


async def test_a_demo_without_the_brokers_it_was_told_of_says_what_runs_them(tmp_path: Path) -> None:
    missing, stale = tmp_path / "missing.json", tmp_path / "stale.json"
    nobody = Brokers(
        nats="nats://127.0.0.1:9", kafka="127.0.0.1:9", kafka_sasl="", rabbitmq="amqp://127.0.0.1:9", s3=""
    )
    stale.write_text(nobody.as_json())

    for addresses, reason in ((missing, f"There is no file {missing}"), (stale, "NATS does not answer")):
        status, out, err = await demo("--brokers", addresses)

        assert (status, out) == (1, "")
        assert reason in err
        assert "make brokers" in err
