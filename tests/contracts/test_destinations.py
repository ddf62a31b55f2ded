"""What a DestinationRepository does."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from service.application.ports.pages import PageRequest
from service.domain.applications import Application
from service.domain.errors import Conflict, NotFound
from service.domain.ordered import Consumer, OrderedDestination, OrderedStatus
from service.domain.signatures import Secret
from service.domain.sink_configs import sink_of
from service.domain.sinks import FifoSink, KafkaSink, NatsSink, PollingSink, PostgresSink, Sink, SinkKind
from tests.contracts.conftest import BeginKept
from tests.support.kept import NOW, an_application, an_ordered_destination
from tests.support.sinks import CONFIGS

OLD, NEW = Secret(key=b"o" * 24, expires_at=NOW), Secret(key=b"n" * 24)
LATER = NOW + timedelta(hours=1)
SINKS: tuple[Sink, ...] = (
    *(sink_of(kind, CONFIGS[kind]) for kind in SinkKind),
    # With the fields that those leave out.
    PostgresSink(url="postgres://me@db/it", table_name="t", password="hidden", ssl_root_cert="pem"),
    KafkaSink(bootstrap_servers=("one:9092",), topic="t", tls=True, username="me", password="hidden"),
    NatsSink(servers=("nats://one:4222", "nats://two:4222"), subject="s", token="hidden"),
)
# Another value than `an_ordered_destination` has, for every field that can change but the position.
CHANGED: dict[str, Any] = {
    "sink": FifoSink(url="http://127.0.0.1:10/", headers={"X-Token": "one"}, key="a.b"),
    "uid": "e",
    "status": OrderedStatus.PAUSED,
    "batch_size": 100,
    "max_wait_secs": 7,
    "event_types": ("a.b",),
    "channels": ("c",),
    "metadata": {"k": "v"},
    "updated_at": LATER,
    "due_at": LATER,
    "attempts": 3,
    "first_failed_at": LATER,
    "failure_reason": "It answered 500.",
}


async def _an_application(begin: BeginKept) -> Application:
    application = an_application()
    async with begin() as work:
        await work.applications.add(application)
    return application


async def test_a_destination_is_found_by_id_and_by_uid_in_its_application_alone(kept: BeginKept) -> None:
    application, other = await _an_application(kept), await _an_application(kept)
    one, two = an_ordered_destination(application, uid="e"), an_ordered_destination(application)

    async with kept() as work:
        await work.destinations.add(one, [NEW])
        await work.destinations.add(two)

    async with kept() as work:
        assert await work.destinations.get(application.id, one.id) == one
        assert await work.destinations.get(application.id, "e", lock=True) == one
        assert await work.destinations.get(other.id, one.id) is None
        assert await work.destinations.get(other.id, "e") is None
        assert (await work.destinations.page(other.id, PageRequest())).items == []
        first = await work.destinations.page(application.id, PageRequest(limit=1))
        rest = await work.destinations.page(application.id, PageRequest(after=first.items[0].id))
    assert {found.id for found in (*first.items, *rest.items)} == {one.id, two.id}
    assert (first.done, rest.done) == (False, True)


@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.kind)
async def test_a_sink_comes_back_with_its_credentials_and_is_not_readable_where_it_is_kept(
    kept: BeginKept, sink: Sink
) -> None:
    destination = an_ordered_destination(await _an_application(kept), sink=sink)

    async with kept() as work:
        await work.destinations.add(destination)

    async with kept() as work:
        found = await work.destinations.get(destination.app_id, destination.id)
    assert found == destination
    assert "hidden" not in repr(found)


async def test_secrets_come_back_as_they_were_kept(kept: BeginKept) -> None:
    application = await _an_application(kept)
    signed, plain = an_ordered_destination(application), an_ordered_destination(application, sink=PollingSink())

    async with kept() as work:
        await work.destinations.add(signed, [NEW, OLD])
        await work.destinations.add(plain)
        assert await work.destinations.secrets(signed.id) == (NEW, OLD)
        await work.destinations.keep_secrets(signed.id, [OLD])

    async with kept() as work:
        assert await work.destinations.secrets(signed.id) == (OLD,)
        assert await work.destinations.secrets(plain.id) == ()


async def test_a_uid_is_taken_once_in_an_application(kept: BeginKept) -> None:
    application = await _an_application(kept)
    second = an_ordered_destination(application)
    async with kept() as work:
        await work.destinations.add(an_ordered_destination(application, uid="same"))
        await work.destinations.add(second)

    async with kept() as work:
        with pytest.raises(Conflict):
            await work.destinations.add(an_ordered_destination(application, uid="same"))
    with pytest.raises(Conflict):
        async with kept() as work:
            await work.destinations.replace(replace(second, uid="same"))


def test_there_is_another_value_for_every_field_that_can_change() -> None:
    plain = an_ordered_destination(an_application())
    fixed = {"id", "app_id", "org_id", "created_at", "position"}

    assert CHANGED.keys() == {field.name for field in fields(OrderedDestination)} - fixed
    assert [name for name, value in CHANGED.items() if getattr(plain, name) == value] == []


async def test_replacing_keeps_every_change_but_leaves_the_position_and_the_secrets_alone(kept: BeginKept) -> None:
    destination = an_ordered_destination(await _an_application(kept), position=5)
    changed = replace(destination, **CHANGED)
    async with kept() as work:
        await work.destinations.add(destination, [NEW])

    async with kept() as work:
        await work.destinations.replace(replace(changed, position=1))

    async with kept() as work:
        assert await work.destinations.get(destination.app_id, destination.id) == changed
        assert await work.destinations.secrets(destination.id) == (NEW,)
        await work.destinations.move(changed, position=2)
        assert await work.destinations.get(destination.app_id, destination.id) == replace(changed, position=2)


async def test_what_was_deleted_is_gone_with_its_consumers_and_frees_its_uid(kept: BeginKept) -> None:
    application = await _an_application(kept)
    destination = an_ordered_destination(application, uid="free", sink=PollingSink())
    async with kept() as work:
        await work.destinations.add(destination)
        await work.destinations.consumer(destination, "one")

    async with kept() as work:
        await work.destinations.delete(destination)

    async with kept() as work:
        assert await work.destinations.get(application.id, destination.id) is None
        await work.destinations.add(an_ordered_destination(application, uid="free"))
        with pytest.raises(NotFound):
            await work.destinations.replace(destination)


async def test_an_application_takes_its_destinations_along(kept: BeginKept) -> None:
    application = await _an_application(kept)
    destination = an_ordered_destination(application)
    async with kept() as work:
        await work.destinations.add(destination)

    async with kept() as work:
        await work.applications.delete(application, at=NOW)

    async with kept() as work:
        assert await work.destinations.get(application.id, destination.id) is None


async def test_each_consumer_has_a_place_of_its_own_and_begins_at_the_destinations(kept: BeginKept) -> None:
    destination = an_ordered_destination(await _an_application(kept), sink=PollingSink(), position=7)
    async with kept() as work:
        await work.destinations.add(destination)

    async with kept() as work:
        assert await work.destinations.consumer(destination, "one") == Consumer(position=7)
        await work.destinations.keep_consumer(destination.id, "one", Consumer(position=7, polled=9))

    async with kept() as work:
        assert await work.destinations.consumer(destination, "one") == Consumer(position=7, polled=9)
        assert await work.destinations.consumer(destination, "two") == Consumer(position=7)
