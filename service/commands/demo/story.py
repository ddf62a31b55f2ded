"""The demo's steps, in order. Nothing that it makes outlives the command."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from svix.api import (
    ApplicationIn,
    EndpointIn,
    EventTypeIn,
    MessageAttemptOut,
    MessageIn,
    MessageOut,
    SvixAsync,
    SvixOptions,
)

from service.commands.demo import report
from service.commands.demo.receivers import FLAKY, GONE, HEALTHY, Arrival, Receivers
from service.commands.demo.server import Relevo, ServerFailed, running_relevo
from service.commands.demo.stack import Stack
from service.commands.demo.staying import until_told
from service.commands.demo.traces import TraceStub
from service.commands.demo.web import serving
from service.commands.demo.witness import Check, Play, Witness

EVENTS = 10
EVENT_TYPE = "invoice.paid"
ARRIVAL_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The demo's application, its endpoints' ids by name, and a client of the API."""

    api: SvixAsync
    app_id: str
    endpoint_ids: dict[str, str]


async def run(real: Stack | None = None, *, stay: bool = False) -> int:
    """Run the demo; telemetry goes to the `real` stack if there is one, else to a stub. `stay` until Enter or Ctrl-C.

    Returns 0 when every event arrived with a valid signature and its telemetry was found, else 1.
    """
    console = Console(highlight=False)
    receivers = Receivers(lambda arrival: report.show_arrival(console, arrival))
    stub = TraceStub()
    witness: Witness = real or stub
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="relevo-demo-"))
        url = await stack.enter_async_context(serving([*receivers.routes(), *stub.routes()]))
        try:
            with console.status("Starting Relevo with a PostgreSQL of its own ..."):
                relevo = await stack.enter_async_context(running_relevo(Path(directory), witness.environ(url)))
        except ServerFailed as failure:
            console.print(f"[red]Relevo did not start.[/]\n{failure}")
            return 1
        console.print(f"Relevo serves at [bold]{relevo.url}[/] and keeps everything in {directory}", soft_wrap=True)
        complete = await _play(console, relevo, receivers, witness, url)
        if stay:
            await _stay(console, relevo)
        else:
            console.print("\n`relevo demo --stay` keeps it up for a look around in the console.")
    return 0 if complete else 1


async def _play(console: Console, relevo: Relevo, receivers: Receivers, witness: Witness, url: str) -> bool:
    cast = await _set_up(relevo, receivers, url)
    console.print(f"One application, three endpoints, {EVENTS} events of type {EVENT_TYPE}:\n")
    messages = await _send(cast.api, cast.app_id)
    arrived = await _all_delivered(receivers)
    attempts = await _attempts(cast, messages, len(receivers.arrivals))
    console.print(report.deliveries_table(messages, attempts, cast.endpoint_ids))
    play = await _witnessed(witness, attempts, first=messages[0].id)
    console.print(report.span_trees(play.traces, play.message_id, cast.endpoint_ids))
    gone = await cast.api.endpoint.get(cast.app_id, cast.endpoint_ids[GONE])
    checks = _checks(receivers, messages, arrived=arrived, gone_disabled=bool(gone.disabled))
    return report.show_checks(console, [*checks, *await witness.testify(play)])


async def _stay(console: Console, relevo: Relevo) -> None:
    report.show_console(console, relevo.url, await relevo.new_token())
    await until_told()


async def _witnessed(witness: Witness, attempts: dict[str, list[MessageAttemptOut]], *, first: str) -> Play:
    expected = len(attempts[first])
    return Play(
        messages=len(attempts),
        attempts=sum(map(len, attempts.values())),
        message_id=first,
        message_attempts=expected,
        traces=await witness.traces_of(first, attempts=expected, within=SETTLE_TIMEOUT_S),
    )


async def _set_up(relevo: Relevo, receivers: Receivers, url: str) -> Cast:
    api = SvixAsync(relevo.token, SvixOptions(server_url=relevo.url))
    app = await api.application.create(ApplicationIn(name="Demo"))
    await api.event_type.create(EventTypeIn(name=EVENT_TYPE, description="An invoice was paid"))
    endpoint_ids = {}
    for name in (HEALTHY, FLAKY, GONE):
        endpoint = await api.endpoint.create(app.id, EndpointIn(url=f"{url}/receivers/{name}", description=name))
        secret = await api.endpoint.get_secret(app.id, endpoint.id)
        receivers.expect(name, secret.key)
        endpoint_ids[name] = endpoint.id
    return Cast(api=api, app_id=app.id, endpoint_ids=endpoint_ids)


async def _send(api: SvixAsync, app_id: str) -> list[MessageOut]:
    events = [MessageIn(event_type=EVENT_TYPE, payload={"invoice": number}) for number in range(1, EVENTS + 1)]
    return await asyncio.gather(*(api.message.create(app_id, event) for event in events))


async def _all_delivered(receivers: Receivers) -> bool:
    def complete() -> bool:
        return all(len(receivers.accepted_by(name)) == EVENTS for name in (HEALTHY, FLAKY)) and receivers.told_gone()

    return await receivers.wait_until(complete, within=ARRIVAL_TIMEOUT_S)


async def _attempts(cast: Cast, messages: list[MessageOut], expected: int) -> dict[str, list[MessageAttemptOut]]:
    """Each message's attempts, oldest first. Polls, since an attempt is stored shortly after the receiver answered."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + SETTLE_TIMEOUT_S
    while True:
        pages = await asyncio.gather(*(cast.api.message_attempt.list_by_msg(cast.app_id, m.id) for m in messages))
        found = {message.id: list(reversed(page.data)) for message, page in zip(messages, pages, strict=True)}
        if sum(map(len, found.values())) >= expected or loop.time() > give_up:
            return found
        await asyncio.sleep(0.1)


def _checks(receivers: Receivers, messages: list[MessageOut], *, arrived: bool, gone_disabled: bool) -> list[Check]:
    sent = {message.id for message in messages}
    return [
        ("Everything arrived in time", arrived),
        (f"The healthy receiver got all {EVENTS} events", receivers.accepted_by(HEALTHY) == sent),
        (f"The flaky one got all {EVENTS} after its failures", receivers.accepted_by(FLAKY) == sent),
        ("The one that answers 410 was disabled", gone_disabled),
        ("Every signature was verified with the standardwebhooks package", _all_verified(receivers.arrivals)),
    ]


def _all_verified(arrivals: list[Arrival]) -> bool:
    return all(arrival.verified for arrival in arrivals)
