"""Addresses from which nothing comes back, neither a connection nor a refusal."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """Somebody who listens and never takes a connection: once a few wait, the kernel drops the rest unanswered."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    waiting = []
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            caller = socket.socket(family)
            caller.setblocking(False)
            caller.connect_ex((host, port))
            waiting.append(caller)
        yield
        for caller in waiting:
            caller.close()
