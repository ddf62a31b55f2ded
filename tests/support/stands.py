"""Destinations of every kind to try a sender on: real ones, which do as they are told."""

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from typing import Any, Protocol

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.application.ports.destinations import Sender
from service.domain.destinations import Destination, HttpDestination
from service.runtime.destinations import senders
from tests.support.certificates import NO_AUTHORITIES
from tests.support.receiver import Receiver, running_receiver

SECRET = "marker-of-a-secret"


class Manner(Enum):
    """How a destination behaves."""

    TAKES = "takes everything"
    WANTS_NO_MORE = "wants nothing more"
    IS_BUSY = "is busy, and asks for seven seconds"
    IS_AWAY = "is away, says who stands before it"
    REFUSES = "refuses this message"
    IS_FAULTY = "has a fault"
    IS_SILENT = "hears it and says nothing"
    IS_NOT_THERE = "is not there"
    HANGS_UP = "hangs up before it answers"
    BREAKS_OFF = "breaks off in the middle of its answer"
    IS_FORBIDDEN = "is where nobody may be called"
    SAYS_A_LOT = "says more than is kept, and what cannot be kept"


class Stand(Protocol):
    """A sender, destinations for it, and the bodies that arrived."""

    def sender(self, *, seconds: float) -> Sender[Any]:
        """One whose attempts take that long at most."""
        ...

    def that(self, manner: Manner) -> Destination | None:
        """A destination that behaves so; None when no destination of the kind can. Its credentials hold `SECRET`."""
        ...

    def arrived(self) -> Sequence[tuple[str | None, bytes]]:
        """The id and the body of every message that came, in their order."""
        ...

    async def heard(self) -> None:
        """Once a message has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStand:
    """A receiver of webhooks."""

    make: Callable[[float], Sender[Any]]
    receiver: Receiver
    nobody: str

    def sender(self, *, seconds: float) -> Sender[Any]:
        """See `Stand`."""
        return self.make(seconds)

    def that(self, manner: Manner) -> HttpDestination:
        """See `Stand`."""
        paths = {
            Manner.TAKES: "/ok",
            Manner.WANTS_NO_MORE: "/status/410",
            Manner.IS_BUSY: "/status/503/7",
            Manner.IS_AWAY: "/status/502",
            Manner.REFUSES: "/status/413",
            Manner.IS_FAULTY: "/status/500",
            Manner.IS_SILENT: "/silence",
            Manner.HANGS_UP: "/reset",
            Manner.BREAKS_OFF: "/reset-midway",
            Manner.SAYS_A_LOT: f"/body/{(b'a' + bytes(1)).hex() * 20_000}",
        }
        others = {Manner.IS_NOT_THERE: self.nobody, Manner.IS_FORBIDDEN: "http://10.0.0.1/"}
        url = others.get(manner) or self.receiver.url + paths[manner]
        return HttpDestination(url=url, headers={"Authorization": f"Bearer {SECRET}"})

    def arrived(self) -> Sequence[tuple[str | None, bytes]]:
        """See `Stand`."""
        return [(call.header("webhook-id"), call.body) for call in self.receiver.calls]

    async def heard(self) -> None:
        """See `Stand`."""
        await self.receiver.wait_for(1)


@asynccontextmanager
async def http_stand() -> AsyncIterator[Stand]:
    """Over real connections to this machine, which are allowed, and to nowhere else."""
    local = Egress([ip_network("127.0.0.0/8")])
    with socket.socket() as bound:  # bound, and not listening
        bound.bind(("127.0.0.1", 0))
        async with (
            running_receiver() as receiver,
            open_http_client(local, concurrency=8, ssl_context=NO_AUTHORITIES) as client,
        ):
            yield HttpStand(
                make=lambda seconds: senders(client, timeout=seconds, egress=local)[HttpDestination],
                receiver=receiver,
                nobody=f"http://127.0.0.1:{bound.getsockname()[1]}/",
            )


KINDS: dict[type[Destination], Callable[[], AbstractAsyncContextManager[Stand]]] = {
    HttpDestination: http_stand,
}
