"""Writes requests as bytes. What is the same for every message to an endpoint is written once, and cached."""

import base64
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import NamedTuple

import httpx

from service.adapters.destinations.http.egress import Egress, EgressRefused
from service.adapters.destinations.http.targets import Target, target_of
from service.domain.destinations import HttpDestination, Parcel
from service.domain.headers import Pairs, kept, room_after, shown_name

CACHED_BEGINNINGS = 4_096
CACHED_NAMES = 64
MAX_CACHED_CHARACTERS = 2_048  # of URL and headers; longer ones are written again for each attempt

_SET_BY_US = frozenset({"host", "content-length", "transfer-encoding"})


class Request(NamedTuple):
    """A request ready to go. `sent` are its headers as an attempt stores them."""

    target: Target
    written: bytes
    sent: Pairs


class Beginning(NamedTuple):
    """The request line and the headers that do not depend on the message. `room` is left for storing more headers."""

    target: Target
    written: bytes
    sent: Pairs
    room: int


class Requests:
    """Writes the requests of attempts, with the beginnings of the latest 4,096 endpoints at hand.

    A beginning is cached by everything that it is made of, so a changed endpoint never gets the old one.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._remembered = lru_cache(maxsize=CACHED_BEGINNINGS)(self._begin)
        self._named = lru_cache(maxsize=CACHED_NAMES)(shown_name)
        self._defaults = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"Relevo/{version('relevo')}",
        }

    def post(self, destination: HttpDestination, parcel: Parcel) -> Request:
        """The POST of a parcel. Header names keep their spelling; signatures override the endpoint's own headers, and
        those override our defaults.

        Raises EgressRefused for a literal address that may not be called, ValueError for a header that cannot be
        written.
        """
        url, own, headers = destination.url, tuple(destination.headers.items()), parcel.headers
        begin = self._remembered if _characters(url, own) <= MAX_CACHED_CHARACTERS else self._begin
        beginning = begin(url, own, parcel.content_type, tuple(headers))
        ending = header_lines(headers.items()) + _length_line(parcel.body)
        return Request(
            target=beginning.target,
            written=b"".join((beginning.written, ending, parcel.body)),
            sent=beginning.sent + kept(headers.items(), room=beginning.room, named=self._named),
        )

    def _begin(self, url: str, own: Pairs, content_type: str | None, others: tuple[str, ...]) -> Beginning:
        """Everything before the headers named in `others`, which come with the message."""
        target, authorization = self._split_credentials(url)
        headers = self._headers(own, content_type, authorization, others={name.lower() for name in others})
        sent = kept(headers)
        return Beginning(
            target=target,
            written=request_line("POST", target) + header_lines(headers),
            sent=sent,
            room=room_after(sent) if len(sent) == len(headers) else 0,
        )

    def _headers(self, own: Pairs, content_type: str | None, authorization: str | None, *, others: set[str]) -> Pairs:
        asked = {name: value for name, value in own if name.lower() not in others}
        if content_type is not None:
            asked = {"Content-Type": content_type, **asked}
        given = {name.lower() for name in asked} | others
        headers = {name: value for name, value in self._defaults.items() if name.lower() not in given} | asked
        if authorization and "authorization" not in given:
            headers["Authorization"] = authorization
        return tuple(headers.items())

    def _split_credentials(self, text: str) -> tuple[Target, str | None]:
        """The target without user and password, and the `Authorization` value made of them. Raises EgressRefused."""
        url = httpx.URL(text)
        # Not `host`, which decodes to Unicode and fails for some valid DNS names.
        if not self._egress.permits_host(url.raw_host.decode("ascii")):
            raise EgressRefused
        if not url.userinfo:
            return target_of(url), None
        credentials = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        return target_of(url.copy_with(username=None, password=None)), f"Basic {credentials}"


def written(method: str, target: Target, headers: Iterable[tuple[str, str]], content: bytes) -> bytes:
    """A whole request. ValueError for a header that cannot be written."""
    length = _length_line(content) if content or method == "POST" else b"\r\n"
    return b"".join((request_line(method, target), header_lines(headers), length, content))


def request_line(method: str, target: Target) -> bytes:
    """The first line of a request, and its `Host`."""
    return f"{method} {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\n".encode("ascii")


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """A line in Latin-1 for each header, except those that we set. ValueError for one that is more than its line."""
    lines = [f"{name}: {value}\r\n" for name, value in headers if name.lower() not in _SET_BY_US]
    text = "".join(lines)
    if text.count("\n") > len(lines) or text.count("\r") > len(lines) or "\0" in text:
        raise ValueError("A header contains a line break.")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("A header is not Latin-1.") from error


def _length_line(content: bytes) -> bytes:
    """The `Content-Length`, and the end of the head."""
    return b"Content-Length: %d\r\n\r\n" % len(content)


def _characters(url: str, own: Pairs) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in own) if own else len(url)
