"""What a background task has to show so far, in words: how far it is, what it did, and its rows where it counts.

Pure. What tasks store is told by `application/replays.py`, `contents.py` and `statistics.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.domain import ids
from service.domain.background_tasks import BackgroundTask, TaskKind, TaskStatus
from service.domain.errors import TaskCanceled

MAX_ROWS = 200

Found = Mapping[str, Any]  # what a task stores of an application


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """What a task found out of an application."""

    app_id: str
    app_uid: str | None
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """`share` is the part of its time span that a task is through, from 0 to 1, None for a task without one. `left_out`
    is the number of further rows."""

    sentence: str
    share: float | None = None
    heading: str = ""
    rows: Sequence[ReportRow] = ()
    left_out: int = 0


def report(task: BackgroundTask) -> TaskReport:
    """What there is to say of a task."""
    match task.kind:
        case TaskKind.RECOVER | TaskKind.REPLAY | TaskKind.BULK_REPLAY:
            count = task.data["messagesSent"]
            told = TaskReport(sentence=f"{_numbered(count, 'message')} {_were(count)} queued for the endpoint.")
        case TaskKind.PURGE_CONTENT:
            told = TaskReport(sentence=f"{_numbered(task.data['messagesPurged'], 'payload')} removed.")
        case TaskKind.APPLICATION_STATS:
            told = _table(task.data["appStats"], "attempts counted", "Attempts", _usage)
        case TaskKind.EVENT_TYPE_AGGREGATE:
            told = _table(task.data["event_types"], "event types collected", "Event types", _wanted)
    if task.status is TaskStatus.FAILED:
        told = replace(told, sentence=f"{_end(task)} What it had done before stays done: {told.sentence}")
    return replace(told, share=_share(task))


def _table(found: Sequence[Found], done: str, heading: str, shown: Callable[[Found], str]) -> TaskReport:
    return TaskReport(
        sentence=f"{_numbered(len(found), 'application')}, {done}.",
        heading=heading,
        rows=[ReportRow(app_id=one["appId"], app_uid=one.get("appUid"), found=shown(one)) for one in found[:MAX_ROWS]],
        left_out=max(0, len(found) - MAX_ROWS),
    )


def _share(task: BackgroundTask) -> float | None:
    """Messages are worked through in the order of their ids, which is that of their times."""
    since, until = task.params.get("since", ""), task.params.get("until", "")
    if not (ids.is_valid(ids.MESSAGE, since) and ids.is_valid(ids.MESSAGE, until)):
        return None
    if task.status is TaskStatus.FINISHED:
        return 1.0
    begin, end = ids.time_of(since), ids.time_of(until)
    reached = ids.time_of(task.cursor) if task.cursor else begin
    return (reached - begin) / (end - begin) if end > begin else 0.0


def _end(task: BackgroundTask) -> str:
    error = task.data.get("error", {})
    if error.get("code") == TaskCanceled.code:
        return TaskCanceled.detail
    return f"It failed: {error.get('detail', 'the reason is not known.')}"


def _numbered(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _usage(one: Found) -> str:
    return f"{one['messageDestinations']:,}"


def _wanted(one: Found) -> str:
    names = ", ".join(one["explicitlySubscribedEventTypes"])
    if not one["hasCatchAllEndpoint"]:
        return names or "none"
    return f"all, and by name {names}" if names else "all"
