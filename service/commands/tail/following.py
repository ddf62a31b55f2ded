"""Follows the attempt stream, and reconnects with exponential back-off when it breaks."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import quote

import httpx
from rich.console import Console

from service.commands.streams import told_when_refused
from service.commands.tail.events import Event, events
from service.commands.tail.printing import line_of
from service.domain import retries

MIN_BACKOFF_S, MAX_BACKOFF_S = 0.5, 15.0
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 45.0  # three of the server's heartbeats
_TEMPORARY_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class StreamRefused(Exception):
    """The server refused the stream for good; the text says why."""


class _Lost(Exception):
    """The stream broke, and may be resumed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The attempt stream of an application (its id or uid) on the server at `url`."""

    url: str
    token: str
    app_id: str

    @property
    def address(self) -> str:
        """The stream's URL."""
        return f"{self.url.rstrip('/')}/api/v1/app/{quote(self.app_id, safe='')}/attempt/tail"


def follow(stream: Stream, console: Console, *, tell: Callable[[str], None]) -> NoReturn:
    """Print a line for each attempt until the process is interrupted. Raises StreamRefused.

    The server cannot replay attempts made while the stream was broken, so a line says that some may be missing.
    """
    pauses, last_id = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S), None
    with _open_client() as client:
        while True:
            try:
                for event in _events(client, stream, last_id=last_id):
                    pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
                    last_id = event.id or last_id or "0"
                    if event.name == "ready":
                        tell(f"Following {stream.app_id}.")
                    if (line := line_of(event)) is not None:
                        with told_when_refused():
                            console.print(line, soft_wrap=True)
            except _Lost as lost:
                pause = next(pauses)
                tell(f"{lost} Trying again in {pause:g} s.")
                time.sleep(pause)


def _open_client() -> httpx.Client:
    try:
        return httpx.Client(timeout=httpx.Timeout(CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S))
    except (ImportError, ValueError) as error:
        proxies = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"
        fault = f"The proxy in {proxies} cannot be used: set it to http://host:port, or NO_PROXY to the server's host."
        raise StreamRefused(fault) from error


def _events(client: httpx.Client, stream: Stream, *, last_id: str | None) -> Iterator[Event]:
    """The events of one connection. Raises StreamRefused, and _Lost when the connection ends."""
    headers = {"authorization": f"Bearer {stream.token}", "accept": "text/event-stream"}
    if last_id is not None:
        headers["last-event-id"] = last_id
    try:
        with client.stream("GET", stream.address, headers=headers) as answer:
            _check(answer)
            yield from events(answer.iter_bytes())
    except httpx.RequestError as error:
        raise _Lost(f"There is no connection to {stream.url} ({type(error).__name__}).") from error
    except ValueError as error:
        raise _Lost("The server sent something that is not an event.") from error
    raise _Lost("The server ended the stream.")


def _check(answer: httpx.Response) -> None:
    if answer.status_code == HTTPStatus.OK:
        return
    answer.read()
    if answer.status_code in _TEMPORARY_STATUSES or answer.is_server_error:
        raise _Lost(f"The server answered {answer.status_code}.")
    raise StreamRefused(f"The server refused with {answer.status_code}: {_detail(answer)}")


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
