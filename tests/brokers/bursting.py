"""A producer of invoices, each when its time has come, whether or not anybody takes them. A process of its own:

    python -m tests.brokers.bursting nats://127.0.0.1:4222 SUBJECT FIRST COUNT RATE

The messages have the numbers from FIRST on. What JetStream does not take at once is sent again, so it ends when all are
there; then it prints how many seconds that took and how many were sent again.
"""

import asyncio
import json
import sys
import time
from collections import deque

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.brokers import kinds
from tests.benchmarks import invoice

NUMBER = '"number": 42'
MOST_UNANSWERED = 8_000  # JetStream refuses more
TICK_S = 0.001


class Burst:
    """So many messages to a subject of a stream, from the number `first` on."""

    def __init__(self, client: Client, subject: str, *, first: int, count: int) -> None:
        self._client = client
        self._subject = subject
        self._inbox = client.new_inbox()
        self._left = deque(range(first, first + count))
        self._unanswered = 0
        self._again = 0
        self._before, _, self._after = invoice.written().partition(NUMBER)

    async def run(self, rate: float) -> dict[str, float]:
        """Send at that rate until JetStream has all."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)
        began, sent = time.monotonic(), 0
        while self._left or self._unanswered:
            due = int((time.monotonic() - began) * rate) - sent
            room = MOST_UNANSWERED - self._unanswered
            for _ in range(min(due, room, len(self._left))):
                await self._publish(self._left.popleft())
                sent += 1
            await asyncio.sleep(TICK_S)
        return {"seconds": time.monotonic() - began, "again": self._again}

    async def _publish(self, number: int) -> None:
        self._unanswered += 1
        payload = f'{self._before}"number": {number}{self._after}'.encode()
        await self._client.publish(self._subject, payload, reply=f"{self._inbox}.{number}")

    async def _answered(self, answer: Msg) -> None:
        self._unanswered -= 1
        if b'"error"' in answer.data:
            self._again += 1
            self._left.append(int(answer.subject.rpartition(".")[2]))


async def _main(url: str, subject: str, *, first: int, count: int, rate: float) -> None:
    client = await nats.connect(url, user=kinds.USER, password=kinds.PASSWORD)
    try:
        told = await Burst(client, subject, first=first, count=count).run(rate)
    finally:
        await client.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _url, _subject, _first, _count, _rate = sys.argv[1:]
    uvloop.run(_main(_url, _subject, first=int(_first), count=int(_count), rate=float(_rate)))
