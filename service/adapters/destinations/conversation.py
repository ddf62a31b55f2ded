"""What a server says that its client cannot read: a fault of the server's, whatever error its client makes of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.adapters.destinations.results import NotNow, Told

_KNOWN = (Told, NotNow, OSError, EOFError, ImportError, MemoryError)


class Unreadable(ConnectionError):
    """The server said what its protocol does not have. Its text is for the tenant."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def unreadable(error: BaseException) -> Unreadable:
    """Made of what a client raised. Only the error's kind is told, since its words may quote anything."""
    return Unreadable(f"The server's answer cannot be read: {type(error).__name__}.")


@contextmanager
def conversation(*own: type[Exception]) -> Iterator[None]:
    """A part of a conversation with a server, in which nothing of ours is encoded. `own` are the errors that its client
    documents.

    They and those of the network pass; anything else came of what the server said, and is raised as Unreadable.
    Clients document no errors for that, and cancel who waits for what will not come.
    """
    known: tuple[type[Exception], ...] = (*own, *_KNOWN)
    try:
        yield
    except known:
        raise
    except StopAsyncIteration:
        raise ConnectionResetError from None  # aiormq's word for the end of a connection
    except Exception as error:
        raise unreadable(error) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError from None
