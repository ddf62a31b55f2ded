"""Endpoints and messages, and whether the one wants the other: for the domain, and for every statement that says it."""

from typing import NamedTuple


class Case(NamedTuple):
    """`wanted` is whether the message is owed as it arrives."""

    wanted: bool
    event_types: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    disabled: bool = False
    deleted: bool = False
    message_type: str = "invoice.paid"
    message_channels: tuple[str, ...] | None = None


CASES = {
    "no wishes": Case(wanted=True),
    "no wishes, a message with channels": Case(wanted=True, message_channels=("a", "b")),
    "its event type": Case(wanted=True, event_types=("invoice.paid",)),
    "its event type among others": Case(wanted=True, event_types=("a", "invoice.paid", "b")),
    "another event type": Case(wanted=False, event_types=("invoice.sent",)),
    "the beginning of its event type": Case(wanted=False, event_types=("invoice",)),
    "an event type that begins as its own": Case(wanted=False, event_types=("invoice.paid.late",)),
    "its event type in other letters": Case(wanted=False, event_types=("Invoice.Paid",)),
    "no event type that there is": Case(wanted=False, event_types=()),
    "its channel": Case(wanted=True, channels=("a",), message_channels=("a",)),
    "one channel of several": Case(wanted=True, channels=("a", "b"), message_channels=("b", "c")),
    "other channels": Case(wanted=False, channels=("a", "b"), message_channels=("c", "d")),
    "a channel in other letters": Case(wanted=False, channels=("A",), message_channels=("a",)),
    "channels, a message without": Case(wanted=False, channels=("a",)),
    "no channel that there is": Case(wanted=False, channels=(), message_channels=("a",)),
    "a channel with signs": Case(wanted=True, channels=("project:7+x",), message_channels=("a", "project:7+x")),
    "event type and channel": Case(
        wanted=True, event_types=("invoice.paid",), channels=("a",), message_channels=("a",)
    ),
    "the event type, not the channel": Case(
        wanted=False, event_types=("invoice.paid",), channels=("b",), message_channels=("a",)
    ),
    "the channel, not the event type": Case(
        wanted=False, event_types=("invoice.sent",), channels=("a",), message_channels=("a",)
    ),
    "disabled": Case(wanted=False, disabled=True),
    "disabled, its event type": Case(wanted=False, disabled=True, event_types=("invoice.paid",)),
    "deleted": Case(wanted=False, deleted=True),
    "deleted and disabled": Case(wanted=False, deleted=True, disabled=True),
}
