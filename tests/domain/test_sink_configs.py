"""Configurations of ordered destinations: which are taken, what is shown of them, and what stays when they change."""

from dataclasses import fields
from typing import Any

import orjson
import pytest

from service.domain.errors import Invalid
from service.domain.headers import MASK
from service.domain.sink_addresses import ADDRESS, addresses
from service.domain.sink_configs import (
    CREDENTIALS,
    SINKS,
    changed,
    config_of,
    kind_of,
    public,
    replaced,
    restored,
    sink_of,
)
from service.domain.sinks import PushedSink, RabbitMqSink, SinkKind
from tests.support.sinks import CONFIGS, EXAMPLES

URI = "amqp://user:hidden@127.0.0.1:5672/%2F"
SHOWN_URI = f"amqp://user:{MASK}@127.0.0.1:5672/%2F"
PG = "postgres://user@host:5432/database"

FIFO, RABBITMQ, POSTGRES = SinkKind.FIFO, SinkKind.RABBITMQ, SinkKind.POSTGRES
S3, KAFKA, NATS = SinkKind.S3, SinkKind.KAFKA, SinkKind.NATS
# What no example has: certificates, what goes with them, and what goes without a user.
LEFT_OUT = {"ssl_root_cert", "tls", "token"}
HIDING = [(kind, config) for kind, config in EXAMPLES if CREDENTIALS & config.keys()]


def test_every_kind_has_a_sink_and_an_example_and_those_that_are_sent_to_have_an_address() -> None:
    assert SINKS.keys() == CONFIGS.keys() == set(SinkKind)
    assert {kind: sink.kind for kind, sink in SINKS.items()} == {kind: kind for kind in SinkKind}
    assert ADDRESS.keys() == set(SinkKind) - {SinkKind.POLLING}


@pytest.mark.parametrize("kind", SinkKind)
def test_an_example_is_whole_and_hides_what_has_to_be_hidden(kind: SinkKind) -> None:
    example, named = CONFIGS[kind], {each.name: each for each in fields(SINKS[kind])}

    assert named.keys() - example.keys() <= LEFT_OUT
    assert [name for name, value in example.items() if ("hidden" in str(value)) is named[name].repr] == []


@pytest.mark.parametrize("kind", SinkKind)
def test_a_sink_is_stored_whole_and_comes_back(kind: SinkKind) -> None:
    sink = sink_of(kind, CONFIGS[kind])

    stored = orjson.loads(orjson.dumps(config_of(sink)))

    assert restored(kind, stored | {"of_a_later_release": 1}) == sink


def test_every_credential_is_in_an_example() -> None:
    assert {name for _, config in HIDING for name in CREDENTIALS & config.keys()} == CREDENTIALS


@pytest.mark.parametrize(("kind", "config"), EXAMPLES)
def test_no_credential_is_shown(kind: SinkKind, config: dict[str, Any]) -> None:
    sink = sink_of(kind, config)

    assert "hidden" not in orjson.dumps(public(sink)).decode()
    assert "hidden" not in repr(sink)
    if isinstance(sink, PushedSink):
        assert "hidden" not in "".join(addresses(sink))


@pytest.mark.parametrize("word", ["sqs", "webhook", "", "fifoendpoint"])
def test_another_kind_is_refused_with_the_names_of_all(word: str) -> None:
    with pytest.raises(Invalid, match=r"fifoEndpoint, pollingEndpoint, rabbitMq, .*nats") as refused:
        kind_of(word)

    assert refused.value.field == ("type",)


@pytest.mark.parametrize("change", [changed, replaced])
@pytest.mark.parametrize("kind", SinkKind)
def test_what_is_shown_can_be_sent_back(kind: SinkKind, change: Any) -> None:
    known = sink_of(kind, CONFIGS[kind])

    assert change(known, public(known)) == known


def test_what_is_not_said_stays_in_a_change_and_goes_with_a_replacement() -> None:
    known = sink_of(RABBITMQ, CONFIGS[RABBITMQ])
    said = {"uri": URI, "routing_key": "others"}

    assert changed(known, said) == sink_of(RABBITMQ, CONFIGS[RABBITMQ] | said)
    assert replaced(known, said) == sink_of(RABBITMQ, said)
    assert changed(known, {"exchange": None}) == sink_of(RABBITMQ, CONFIGS[RABBITMQ] | {"exchange": ""})


def test_a_uri_that_comes_back_as_it_was_shown_keeps_its_password() -> None:
    known = sink_of(RABBITMQ, CONFIGS[RABBITMQ])

    moved = changed(known, {"uri": SHOWN_URI.replace("%2F", "other")})

    assert isinstance(moved, RabbitMqSink)
    assert moved.uri == URI.replace("%2F", "other")


@pytest.mark.parametrize(
    "uri",
    [
        SHOWN_URI.replace("127.0.0.1", "elsewhere"),
        SHOWN_URI.replace("5672", "5673"),
        SHOWN_URI.replace("user", "another"),
        SHOWN_URI.replace("amqp:", "amqps:"),
        f"amqp://user:{MASK}@[::1/",
    ],
)
def test_a_masked_password_goes_nowhere_else(uri: str) -> None:
    with pytest.raises(Invalid) as refused:
        changed(sink_of(RABBITMQ, CONFIGS[RABBITMQ]), {"uri": uri})

    assert refused.value.field == ("config", "uri")


@pytest.mark.parametrize("change", [changed, replaced])
@pytest.mark.parametrize(("kind", "config"), HIDING)
def test_no_credential_is_sent_to_another_address_than_it_was_given_for(
    kind: SinkKind, config: dict[str, Any], change: Any
) -> None:
    known, name = sink_of(kind, config), ADDRESS[kind]
    (credential,) = CREDENTIALS & config.keys()
    elsewhere = orjson.loads(orjson.dumps(config[name]).replace(b"127.0.0.1", b"elsewhere"))
    moved = public(known) | {name: elsewhere}

    with pytest.raises(Invalid) as refused:
        change(known, moved)

    assert refused.value.field == ("config", credential)
    assert config_of(change(known, moved | {credential: "said again"}))[credential] == "said again"
