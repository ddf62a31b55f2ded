"""Sending without a queue: a bare loop over the same client, as many calls at once. Prints calls per second and
the microseconds of processor time for each.

`python -m tests.benchmarks.contenders.raw_sending PORT CALLS CONCURRENCY BODY_BYTES`
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_network

import httpx
import uvloop

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress


async def send(port: int, calls: int, concurrency: int, size: int) -> None:
    """Post the same body `calls` times to 50 paths."""
    body = b"x" * size
    waiting = iter(range(calls))
    async with open_http_client(Egress([ip_network("127.0.0.0/8")]), concurrency=concurrency) as client:
        began, worked = time.perf_counter(), time.process_time()
        await asyncio.gather(*(_post_on(client, port, waiting, body) for _ in range(concurrency)))
        rate, cost = calls / (time.perf_counter() - began), (time.process_time() - worked) * 1e6 / calls
    sys.stdout.write(f"{rate} {cost}\n")


async def _post_on(client: httpx.AsyncClient, port: int, waiting: Iterator[int], body: bytes) -> None:
    for nth in waiting:
        response = await client.post(
            f"http://127.0.0.1:{port}/{nth % 50}", content=body, headers={"Content-Type": "application/json"}
        )
        response.raise_for_status()


if __name__ == "__main__":
    uvloop.run(send(*map(int, sys.argv[1:])))
