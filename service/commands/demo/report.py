"""The demo's output: with colours at a terminal, without in a pipe."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree
from svix.api import MessageAttemptOut, MessageOut

from service.commands.demo.receivers import Arrival
from service.commands.demo.witness import Span

STATUS_STYLE = {2: "green", 4: "yellow", 5: "red"}
ENDPOINT, SINK, ATTEMPT, STATUS, ERROR = (
    "relevo.endpoint.id",
    "relevo.destination.kind",
    "relevo.attempt",
    "http.response.status_code",
    "error.type",
)


def show_arrival(console: Console, arrival: Arrival) -> None:
    """One line for one call to a receiver."""
    signature = "signature ok" if arrival.verified else "SIGNATURE WRONG"
    console.print(
        f"  {arrival.after:6.2f} s  {arrival.receiver:8}",
        Text(str(arrival.status), style=_style(arrival.status)),
        f"{arrival.message_id}  {signature}",
        soft_wrap=True,
    )


def deliveries_table(
    messages: Sequence[MessageOut], attempts: dict[str, list[MessageAttemptOut]], endpoint_ids: dict[str, str]
) -> Table:
    """A table of messages by endpoints: the last status, the number of attempts, and the time since the event."""
    title = "\nThe last answer, the attempts it took, and the time since the event was sent"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("message", no_wrap=True)
    for name in endpoint_ids:
        table.add_column(name, no_wrap=True)
    for message in messages:
        cells = [_cell(message, _to(attempts[message.id], endpoint)) for endpoint in endpoint_ids.values()]
        table.add_row(f"... {message.id[-8:]}", *cells)
    return table


def orders_table(arrived: Mapping[str, Sequence[str]]) -> Table:
    """What arrived at each destination, in the order in which it did."""
    table = Table(title="\nWhat arrived, in its order", box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for kind in ("", *arrived):
        table.add_column(kind, no_wrap=True)
    for nth, row in enumerate(zip_longest(*arrived.values(), fillvalue="")):
        table.add_row(str(nth + 1), *(f"... {message_id[-8:]}" for message_id in row))
    return table


def span_trees(roots: Sequence[Span], message_id: str, endpoint_ids: dict[str, str]) -> Group:
    """The traces of one message. Each attempt after the first is a trace of its own, linked to the first."""
    names = {endpoint_id: name for name, endpoint_id in endpoint_ids.items()}
    trees = [_grow(Tree(_line(root, names), guide_style="dim"), root, names) for root in roots]
    return Group(Text(f"\nTraces of {message_id}", style="bold"), *trees, "")


def show_checks(console: Console, checks: Sequence[tuple[str, bool]]) -> bool:
    """Print a line for each check; returns whether all of them hold."""
    for claim, holds in checks:
        console.print(Text("yes" if holds else "NO ", style="green" if holds else "bold red"), claim, soft_wrap=True)
    return all(holds for _, holds in checks)


def show_console(console: Console, url: str, token: str) -> None:
    """Where to look around, and how to sign in."""
    console.print(f"\nThe console is at [bold]{url}/console[/]. This link signs in for an hour:")
    console.print(Text(f"{url}/console/sign-in#token={token}"), soft_wrap=True)
    console.print("\nEverything stays up until Enter or Ctrl-C, and is deleted then.")


def _cell(message: MessageOut, attempts: Sequence[MessageAttemptOut]) -> Text:
    if not attempts:
        return Text("not sent", style="dim")
    last = attempts[-1]
    waited = (last.timestamp - message.timestamp).total_seconds() * 1000 + last.response_duration_ms
    return Text(
        f"{last.response_status_code} x{len(attempts)} {waited:.0f} ms", style=_style(last.response_status_code)
    )


def _to(attempts: Sequence[MessageAttemptOut], endpoint_id: str) -> list[MessageAttemptOut]:
    return [attempt for attempt in attempts if attempt.endpoint_id == endpoint_id]


def _grow(tree: Tree, span: Span, names: dict[str, str]) -> Tree:
    for child in span.children:
        _grow(tree.add(_line(child, names)), child, names)
    return tree


def _line(span: Span, names: dict[str, str]) -> Text:
    line = Text.assemble((span.name, "bold"), " ", (span.kind, "cyan"), f"  {span.milliseconds:.1f} ms  ")
    line.append("  ".join(_facts(span, names)), style="dim")
    return line


def _facts(span: Span, names: dict[str, str]) -> Iterator[str]:
    facts = span.attributes
    if ENDPOINT in facts and span.kind == "CONSUMER":
        yield f"{names.get(facts.get(ENDPOINT, ''), 'another endpoint')}, attempt {facts.get(ATTEMPT, '?')}"
    elif sink := facts.get(SINK):
        yield sink
    elif answer := facts.get(STATUS) or facts.get(ERROR):
        yield answer
    if span.linked and not span.parent_id:
        yield "linked"


def _style(status: int) -> str:
    return STATUS_STYLE.get(status // 100, "magenta")
