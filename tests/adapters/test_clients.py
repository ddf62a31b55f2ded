"""A client of a broker is an extra: loaded only where it is used, and missed in words."""

import subprocess
import sys
from importlib.metadata import metadata

from service.adapters.destinations.clients import NEEDED, why_unavailable
from service.domain.sinks import SinkKind

_LOADED = """
import sys, service.runtime.destinations
from service.adapters.destinations.clients import NEEDED
print(sorted({package for package, _ in NEEDED.values()} & set(sys.modules)))
"""
_NO_CLIENTS = {"demo", "embedded"}
_WITHOUT = """
import asyncio, sys
sys.modules["aiormq"] = None
from tests.support.batch_stands import AT, a_batch, local_senders
from service.domain.sinks import RabbitMqSink

async def main():
    async with local_senders(seconds=5) as senders:
        print(await senders[RabbitMqSink].send(AT[RabbitMqSink]("127.0.0.1", 1), a_batch(b"{}")))

asyncio.run(main())
"""


def said(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_no_client_is_loaded_before_it_is_used() -> None:
    assert said(_LOADED) == "[]\n"


def test_a_batch_for_a_client_that_is_missing_says_which_extra_brings_it() -> None:
    result = said(_WITHOUT)

    assert "relevo[rabbitmq]" in result
    assert "taken=0" in result
    assert "INTERNAL" in result


def test_each_extra_with_a_client_belongs_to_a_kind() -> None:
    extras = set(metadata("relevo").get_all("Provides-Extra") or ())

    assert {extra for _, extra in NEEDED.values()} == extras - _NO_CLIENTS


def test_here_all_clients_are_installed() -> None:
    assert [why_unavailable(kind) for kind in SinkKind] == [None] * len(SinkKind)
