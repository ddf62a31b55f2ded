"""Path and query parameters: ids, pagination, filters."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator

from service.api.protocol.refusals import Misplaced
from service.api.schemas.rules import (
    AnswerClass,
    Channel,
    EventTypeName,
    GivenName,
    Moment,
    StandingCode,
    StatusCode,
    Tag,
)
from service.application.pollers import PollFilter
from service.application.ports.pages import BACKWARDS_MARK, FORWARDS_MARK, AttemptFilter, MessageFilter, PageRequest
from service.application.tails import TailFilter
from service.domain import ids
from service.domain.errors import NotFound
from service.domain.limits import DEFAULT_PAGE_ITEMS, MAX_LISTED_VALUES, MAX_PAGE_ITEMS, is_name


def storable(reference: str) -> str:
    """The reference to something. NotFound for one that nothing can have."""
    # PostgreSQL stores no NUL, so nothing has such a name, and a query with it would fail.
    if "\x00" in reference:
        raise NotFound
    return reference


_Named = AfterValidator(storable)

ApplicationRef = Annotated[str, Path(description="The application's id or uid."), _Named]
EndpointRef = Annotated[str, Path(description="The endpoint's id or uid."), _Named]
DestinationRef = Annotated[str, Path(description="The destination's id or uid."), _Named]
PolledRef = Annotated[str, Path(description="The polled destination's id or uid."), _Named]
MessageRef = Annotated[str, Path(description="The message's id or event id."), _Named]
AttemptRef = Annotated[str, Path(description="The attempt's identifier, as lists show it."), _Named]
EventTypeRef = Annotated[str, Path(description="The event type's name, as in `invoice.paid`."), _Named]
TaskRef = Annotated[str, Path(description="The background task's id."), _Named]
TokenRef = Annotated[str, Path(description="The token's id or `tokenId`, as the list shows them."), _Named]
ImportRef = Annotated[str, Path(description="The import's id, or the one of its file."), _Named]
SourceRef = Annotated[str, Path(description="The source's identifier, as lists show it."), _Named]
OfEndpoint = Annotated[str | None, Query(description="Of the endpoint with this id or uid alone."), _Named]

ConsumerRef = Annotated[GivenName, Path(description="A name of your own for who reads; each has a place of its own.")]
Order = Annotated[Literal["ascending", "descending"], Query(description="By when they were made.")]
Limit = Annotated[int, Query(ge=1, description=f"At most {MAX_PAGE_ITEMS}.")]
Iterator = Annotated[str | None, Query(description="`iterator` or `prevIterator` of the page before.")]

_line_number = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_event_types_parameter = re.compile(r"event_types(\[\d*\])?").fullmatch


Before = Annotated[Moment | None, Query(description="Only what was made before this time.")]
After = Annotated[Moment | None, Query(description="Only what was made from this time on.")]
OfEventType = Annotated[EventTypeName | None, Query(description="Only messages of this event type.")]
OfChannel = Annotated[Channel | None, Query(description="Only messages with this channel, or what became of them.")]
WithTag = Annotated[Tag | None, Query(description="Only messages with this tag, or what became of them.")]
WithContent = Annotated[bool, Query(description="Whether to show payloads, and what receivers answered.")]
OfStatus = Annotated[
    StatusCode | None, Query(description="Only this one: success 0, pending 1, fail 2, sending 3, canceled 4.")
]
OfDeliveries = Annotated[
    StandingCode | None,
    Query(description="Only messages with a delivery that is so: success 0, fail 2, sending 3, canceled 4."),
]
OfStatusCodeClass = Annotated[
    AnswerClass | None, Query(description="Only answers of this hundred; 0 is for none at all.")
]


def ordered(prefix: str, *, default: Order) -> Callable[..., PageRequest]:
    """Pagination of a list ordered by id, in either order. `prefix` is that of the ids."""

    def page(limit: Limit = DEFAULT_PAGE_ITEMS, iterator: Iterator = None, order: Order = default) -> PageRequest:
        return _page(limit, iterator, lambda key: ids.is_valid(prefix, key), ascending=order == "ascending")

    return page


def newest_first(prefix: str) -> Callable[..., PageRequest]:
    """Pagination of a list ordered by id, newest first. `prefix` is that of the ids."""

    def page(limit: Limit = DEFAULT_PAGE_ITEMS, iterator: Iterator = None) -> PageRequest:
        return _page(limit, iterator, lambda key: ids.is_valid(prefix, key), ascending=False)

    return page


def by_name(limit: Limit = DEFAULT_PAGE_ITEMS, iterator: Iterator = None) -> PageRequest:
    """Pagination of a list ordered by the names of event types."""
    return _page(limit, iterator, is_name, ascending=True)


def oldest_first_by_endpoint(limit: Limit = DEFAULT_PAGE_ITEMS, iterator: Iterator = None) -> PageRequest:
    """Pagination of a list ordered by endpoint, oldest first."""
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
    """Names joined by commas, or in a parameter each: `event_types=a,b`, `event_types[]=a`, `event_types[0]=a`."""
    values = [value for name, value in request.query_params.multi_items() if _event_types_parameter(name)]
    names = list(dict.fromkeys(name for value in values for name in value.split(",") if name))
    if len(names) > MAX_LISTED_VALUES:
        raise Misplaced(f"At most {MAX_LISTED_VALUES} event types may be named.", place=("query", "event_types"))
    for name in names:
        if not is_name(name):
            raise Misplaced(f"{name[:64]!r} is not the name of an event type.", place=("query", "event_types"))
    return tuple(names) or None


def labelled_messages(
    *,
    event_types: Annotated[tuple[str, ...] | None, Depends(event_types)],
    before: Before = None,
    after: After = None,
    channel: OfChannel = None,
    tag: WithTag = None,
    with_content: WithContent = True,
) -> MessageFilter:
    """The filter by what messages are."""
    return MessageFilter(
        before=before, after=after, channel=channel, tag=tag, event_types=event_types, with_content=with_content
    )


def wanted_messages(
    messages: Annotated[MessageFilter, Depends(labelled_messages)], status: OfDeliveries = None
) -> MessageFilter:
    """The filter of a list of messages."""
    return replace(messages, standing=status)


def wanted_attempts(
    messages: Annotated[MessageFilter, Depends(labelled_messages)],
    status: OfStatus = None,
    status_code_class: OfStatusCodeClass = None,
) -> AttemptFilter:
    """The filter of a list of attempts."""
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


def wanted_of_tail(
    event_types: Annotated[tuple[str, ...] | None, Depends(event_types)], status: OfStatus = None
) -> TailFilter:
    """The filter of a live tail."""
    return TailFilter(event_types=event_types, status=status)


def poll_limit(limit: Limit = DEFAULT_PAGE_ITEMS) -> int:
    """How many messages a poll answers at most."""
    return _within_page(limit)


def wanted_of_poll(event_type: OfEventType = None, channel: OfChannel = None, after: After = None) -> PollFilter:
    """The filter of a poll."""
    return PollFilter(event_type=event_type, channel=channel, since=after)


def by_line(limit: Limit = DEFAULT_PAGE_ITEMS, iterator: Iterator = None) -> PageRequest:
    """Pagination of a list ordered by line number."""
    return _page(limit, iterator, lambda key: _line_number(key) is not None, ascending=True)


ApplicationPage = Annotated[PageRequest, Depends(ordered(ids.APPLICATION, default="ascending"))]
EndpointPage = Annotated[PageRequest, Depends(ordered(ids.ENDPOINT, default="descending"))]
EventTypePage = Annotated[PageRequest, Depends(by_name)]
ImportPage = Annotated[PageRequest, Depends(newest_first(ids.IMPORT))]
LinePage = Annotated[PageRequest, Depends(by_line)]
MessagePage = Annotated[PageRequest, Depends(newest_first(ids.MESSAGE))]
AuditPage = Annotated[PageRequest, Depends(newest_first(ids.AUDIT_EVENT))]
TokenPage = Annotated[PageRequest, Depends(newest_first(ids.TOKEN))]
SourcePage = Annotated[PageRequest, Depends(newest_first(ids.SOURCE))]
SourceFaultPage = Annotated[PageRequest, Depends(newest_first(ids.SOURCE_FAULT))]
AttemptPage = Annotated[PageRequest, Depends(newest_first(ids.ATTEMPT))]
DestinationPage = Annotated[PageRequest, Depends(oldest_first_by_endpoint)]
WantedMessages = Annotated[MessageFilter, Depends(wanted_messages)]
WantedAttempts = Annotated[AttemptFilter, Depends(wanted_attempts)]
WantedOfTail = Annotated[TailFilter, Depends(wanted_of_tail)]
OrderedPage = Annotated[PageRequest, Depends(ordered(ids.DESTINATION, default="descending"))]
PollIterator = Annotated[str | None, Query(description="`iterator` of the poll before.")]
PollLimit = Annotated[int, Depends(poll_limit)]
WantedOfPoll = Annotated[PollFilter, Depends(wanted_of_poll)]


def _page(limit: int, iterator: str | None, is_key: Callable[[str], bool], *, ascending: bool) -> PageRequest:
    _within_page(limit)
    if not iterator:
        return PageRequest(limit=limit, ascending=ascending)
    backwards = iterator.startswith(BACKWARDS_MARK)
    key = iterator[1:] if iterator.startswith((BACKWARDS_MARK, FORWARDS_MARK + BACKWARDS_MARK)) else iterator
    if not is_key(key):
        raise Misplaced("This iterator was not returned by a list.", place=("query", "iterator"))
    return PageRequest(limit=limit, after=key, backwards=backwards, ascending=ascending)


def _within_page(limit: int) -> int:
    if limit > MAX_PAGE_ITEMS:
        raise Misplaced(f"Given limit must not exceed {MAX_PAGE_ITEMS}", place=("query", "limit"))
    return limit
