"""What lists can be asked in the query string: where to read on, and which items are wanted."""

import re
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from service.api.schemas.rules import Channel, Moment, Tag
from service.application.ports.lists import BACK, ONWARDS, AttemptFilter, MessageFilter, PageRequest
from service.domain import ids
from service.domain.deliveries import Status
from service.domain.errors import Invalid
from service.domain.limits import MOST_NAMED

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 250

Order = Annotated[Literal["ascending", "descending"], Query(description="By when they were made.")]
Limit = Annotated[int, Query(ge=1, description=f"At most {LARGEST_LIMIT}.")]
Iterator = Annotated[str | None, Query(description="`iterator` or `prevIterator` of the page before.")]

_event_type_name = re.compile(r"[a-zA-Z0-9\-_.]{1,256}").fullmatch
_line_number = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_event_types_parameter = re.compile(r"event_types(\[\d*\])?").fullmatch


class StatusCodeClass(IntEnum):
    """Answers by the hundred; 0 is for none at all."""

    NONE = 0
    INFORMATIONAL = 100
    SUCCESS = 200
    REDIRECT = 300
    CLIENT_ERROR = 400
    SERVER_ERROR = 500


def _one_of(kind: type[IntEnum]) -> BeforeValidator:
    """What names the numbers that may stand there, with their meanings, when it is another."""
    meanings = ", ".join(f"{member.value} ({member.name.lower().replace('_', ' ')})" for member in kind)

    def check(value: object) -> object:
        if str(value) not in {str(member.value) for member in kind}:
            raise PydanticCustomError("enum", "Input should be one of {meanings}", {"meanings": meanings})
        return value

    return BeforeValidator(check)


StatusCode = Annotated[Status, _one_of(Status)]
AnswerClass = Annotated[StatusCodeClass, _one_of(StatusCodeClass)]
Before = Annotated[Moment | None, Query(description="Only what was made before this time.")]
After = Annotated[Moment | None, Query(description="Only what was made from this time on.")]
OfChannel = Annotated[Channel | None, Query(description="Only messages with this channel, or what became of them.")]
WithTag = Annotated[Tag | None, Query(description="Only messages with this tag, or what became of them.")]
WithContent = Annotated[bool, Query(description="Whether to show payloads, and what receivers answered.")]
OfStatus = Annotated[
    StatusCode | None, Query(description="Only this one: success 0, pending 1, fail 2, sending 3, canceled 4.")
]
OfStatusCodeClass = Annotated[
    AnswerClass | None, Query(description="Only answers of this hundred; 0 is for none at all.")
]


def ordered(prefix: str, *, default: Order) -> Callable[..., PageRequest]:
    """The page of a list in the order that is asked for, by identifiers with this prefix."""

    def page(limit: Limit = DEFAULT_LIMIT, iterator: Iterator = None, order: Order = default) -> PageRequest:
        return _page(limit, iterator, lambda key: ids.is_valid(prefix, key), ascending=order == "ascending")

    return page


def newest_first(prefix: str) -> Callable[..., PageRequest]:
    """The page of a list by time."""

    def page(limit: Limit = DEFAULT_LIMIT, iterator: Iterator = None) -> PageRequest:
        return _page(limit, iterator, lambda key: ids.is_valid(prefix, key), ascending=False)

    return page


def by_name(limit: Limit = DEFAULT_LIMIT, iterator: Iterator = None) -> PageRequest:
    """The page of a list by the names of event types."""
    return _page(limit, iterator, lambda key: _event_type_name(key) is not None, ascending=True)


def oldest_first_by_endpoint(limit: Limit = DEFAULT_LIMIT, iterator: Iterator = None) -> PageRequest:
    """The page of a list by endpoint."""
    return _page(limit, iterator, lambda key: ids.is_valid(ids.ENDPOINT, key), ascending=True)


def event_types(
    request: Request,
    _joined: Annotated[
        str | None,
        Query(
            alias="event_types",
            description="Only what is of these event types, joined by commas.",
        ),
    ] = None,
) -> tuple[str, ...] | None:
    """Names joined by commas, or a parameter for each: `event_types=a,b`, `event_types[]=a`, `event_types[0]=a`."""
    values = [value for name, value in request.query_params.multi_items() if _event_types_parameter(name)]
    names = list(dict.fromkeys(name for value in values for name in value.split(",") if name))
    if len(names) > MOST_NAMED:
        raise Invalid(f"At most {MOST_NAMED} event types may be named.", loc=("query", "event_types"))
    for name in names:
        if not _event_type_name(name):
            raise Invalid(f"{name[:64]!r} is not the name of an event type.", loc=("query", "event_types"))
    return tuple(names) or None


def wanted_messages(
    *,
    event_types: Annotated[tuple[str, ...] | None, Depends(event_types)],
    before: Before = None,
    after: After = None,
    channel: OfChannel = None,
    tag: WithTag = None,
    with_content: WithContent = True,
) -> MessageFilter:
    """Which messages are wanted."""
    return MessageFilter(
        before=before, after=after, channel=channel, tag=tag, event_types=event_types, with_content=with_content
    )


def wanted_attempts(
    messages: Annotated[MessageFilter, Depends(wanted_messages)],
    status: OfStatus = None,
    status_code_class: OfStatusCodeClass = None,
) -> AttemptFilter:
    """Which attempts are wanted."""
    return AttemptFilter(
        before=messages.before,
        after=messages.after,
        channel=messages.channel,
        tag=messages.tag,
        event_types=messages.event_types,
        with_content=messages.with_content,
        status=status,
        status_code_class=status_code_class,
    )


def by_line(limit: Limit = DEFAULT_LIMIT, iterator: Iterator = None) -> PageRequest:
    """The page of a list by the lines of a file."""
    return _page(limit, iterator, lambda key: _line_number(key) is not None, ascending=True)


ApplicationPage = Annotated[PageRequest, Depends(ordered(ids.APPLICATION, default="ascending"))]
EndpointPage = Annotated[PageRequest, Depends(ordered(ids.ENDPOINT, default="descending"))]
EventTypePage = Annotated[PageRequest, Depends(by_name)]
ImportPage = Annotated[PageRequest, Depends(newest_first(ids.IMPORT))]
LinePage = Annotated[PageRequest, Depends(by_line)]
MessagePage = Annotated[PageRequest, Depends(newest_first(ids.MESSAGE))]
AuditPage = Annotated[PageRequest, Depends(newest_first(ids.AUDIT_EVENT))]
TokenPage = Annotated[PageRequest, Depends(newest_first(ids.TOKEN))]
AttemptPage = Annotated[PageRequest, Depends(newest_first(ids.ATTEMPT))]
DestinationPage = Annotated[PageRequest, Depends(oldest_first_by_endpoint)]
WantedMessages = Annotated[MessageFilter, Depends(wanted_messages)]
WantedAttempts = Annotated[AttemptFilter, Depends(wanted_attempts)]


def _page(limit: int, iterator: str | None, is_key: Callable[[str], bool], *, ascending: bool) -> PageRequest:
    if limit > LARGEST_LIMIT:
        raise Invalid(f"Given limit must not exceed {LARGEST_LIMIT}", loc=("query", "limit"))
    if not iterator:
        return PageRequest(limit=limit, ascending=ascending)
    backwards = iterator.startswith(BACK)
    key = iterator[1:] if iterator.startswith((BACK, ONWARDS + BACK)) else iterator
    if not is_key(key):
        raise Invalid("This iterator was not returned by a list.", loc=("query", "iterator"))
    return PageRequest(limit=limit, after=key, backwards=backwards, ascending=ascending)
