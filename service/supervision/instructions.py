"""What a parent tells a child at its start, over the child's standard input, which ends when the parent does."""

import json
import os
import signal
import socket
import sys
import threading
from dataclasses import asdict, dataclass, replace
from typing import BinaryIO, Self

from service.runtime.database import DatabaseUrls
from service.runtime.listening import Listeners, Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """The database that the parent opened, and what the child inherits, by its descriptors: the sockets of the API and
    of its own operators' port, and the pipe for the last state of its metrics.

    `spokesman` is the URL where the parent answers for all its children; `number` is the child's own, from 1.
    """

    database: DatabaseUrls
    spokesman: str
    number: int
    api: tuple[int, ...]
    ops: int = -1
    last_words: int = -1

    def of(self, number: int) -> Self:
        """The same for the child with that number."""
        return replace(self, number=number)

    def written(self) -> bytes:
        """One line, for the child's standard input. It has the database's password: no argument and no variable has."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, source: BinaryIO) -> Self:
        """What was written. ValueError if nothing or something else was."""
        told = json.loads(source.readline() or "null")
        if not isinstance(told, dict):
            raise ValueError("a parent did not say what to do")  # noqa: TRY004  # whatever it is, it is no instruction
        return cls(**{**told, "database": DatabaseUrls(**told["database"]), "api": tuple(told["api"])})

    def listeners(self) -> Listeners:
        """The inherited sockets."""
        return Listeners(
            api=tuple(socket.socket(fileno=descriptor) for descriptor in self.api),
            ops=(socket.socket(fileno=self.ops),),
            member=Member(number=self.number, spokesman=self.spokesman, last_words=self.last_words),
        )


def leave_with_parent(source: BinaryIO) -> None:
    """Tell this process to leave, as SIGTERM does, once the parent has ended and `source` with it."""

    def wait() -> None:
        source.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def from_parent() -> BinaryIO:
    """Where the parent's instructions come from: without a buffer, whose lock a waiting thread would hold for ever."""
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # open as long as the process
