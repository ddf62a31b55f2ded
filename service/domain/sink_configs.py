"""From the configuration of a destination, as a caller writes it or as it is stored, to its sink, and back.

Names are those of the sinks' fields. What a value has to be is in `sink_rules`.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from service.domain import sink_rules
from service.domain.errors import Invalid
from service.domain.sink_addresses import addresses, is_for_same, is_masked, masked, unmasked
from service.domain.sinks import (
    FifoSink,
    KafkaSink,
    NatsSink,
    PollingSink,
    PostgresSink,
    PushedSink,
    RabbitMqSink,
    S3Sink,
    Sink,
    SinkKind,
)

Config = Mapping[str, Any]

SINKS: Mapping[SinkKind, type[Sink]] = {
    SinkKind.FIFO: FifoSink,
    SinkKind.POLLING: PollingSink,
    SinkKind.RABBITMQ: RabbitMqSink,
    SinkKind.POSTGRES: PostgresSink,
    SinkKind.S3: S3Sink,
    SinkKind.KAFKA: KafkaSink,
    SinkKind.NATS: NatsSink,
}
# Credentials among others: a URI is shown with its password masked, a receiver's headers as endpoints show theirs.
_SHOWN_IN_PART = frozenset({"uri", "headers"})
# What nobody is shown: each field that is not in a sink's `repr`.
CREDENTIALS = frozenset(each.name for sink in SINKS.values() for each in fields(sink) if not each.repr) - _SHOWN_IN_PART
_STAY_UNLESS_SAID = CREDENTIALS | {"headers"}


def kind_of(text: str) -> SinkKind:
    """The kind of that name. Raises Invalid, with the names that there are."""
    try:
        return SinkKind(text)
    except ValueError:
        known = ", ".join(SinkKind)
        reason = f"There are no destinations of the type {text[:64]!r}. There are these: {known}."
        raise Invalid(reason, field=("type",)) from None


def sink_of(kind: SinkKind, config: Config) -> Sink:
    """The sink with the configuration that a caller wrote; null is as good as nothing. Raises Invalid, with the path to
    the value."""
    given = {name: value for name, value in config.items() if value is not None}
    for name in _required(SINKS[kind]):
        if name not in given:
            raise Invalid(f"A destination of the type {kind.value} needs this.", field=("config", name))
    sink = restored(kind, given)
    sink_rules.check(sink)
    return sink


def restored(kind: SinkKind, config: Config) -> Sink:
    """The sink with the configuration that was stored, without what this release does not know of it."""
    known = {field.name for field in fields(SINKS[kind])}
    values: dict[str, Any] = {name: _frozen(value) for name, value in config.items() if name in known}
    return SINKS[kind](**values)


def config_of(sink: Sink) -> dict[str, Any]:
    """The whole configuration, to be stored encrypted."""
    values = {field.name: getattr(sink, field.name) for field in fields(sink)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def public(sink: Sink) -> dict[str, Any]:
    """The configuration without credentials, and with those in a URI masked; without a receiver's headers, too."""
    shown = {name: value for name, value in config_of(sink).items() if name not in _STAY_UNLESS_SAID}
    if isinstance(sink, RabbitMqSink):
        shown["uri"] = masked(sink.uri)
    return shown


def changed(known: Sink, changes: Config) -> Sink:
    """The sink with these values changed, null clearing one. Raises Invalid.

    A URI that comes back as it was shown keeps its password. No credential is kept for another address than it was
    given for: whoever may change the address could have it sent to themselves.
    """
    return _kept(known, config_of(known), changes)


def replaced(known: Sink, config: Config) -> Sink:
    """The sink with this configuration in place of the old one. Raises Invalid.

    Credentials and headers that are not said stay, on the terms of `changed`.
    """
    stay = {name: value for name, value in config_of(known).items() if name in _STAY_UNLESS_SAID}
    return _kept(known, stay, config)


def _kept(known: Sink, stay: Config, said: Config) -> Sink:
    wanted = sink_of(known.kind, {**stay, **_unmasked(known, said)})
    if isinstance(known, PushedSink) and isinstance(wanted, PushedSink) and addresses(known) != addresses(wanted):
        for name in CREDENTIALS & stay.keys():
            if stay[name] is not None and name not in said:
                raise Invalid("The address is another one: say this again.", field=("config", name))
    return wanted


def _unmasked(known: Sink, said: Config) -> Config:
    """What was said, with the stored password in a URI that came back as it was shown."""
    uri = said.get("uri")
    if not isinstance(known, RabbitMqSink) or uri is None or not is_masked(uri):
        return said
    if not is_for_same(uri, known.uri):
        raise Invalid("The address or the user is another one: write the password.", field=("config", "uri"))
    return {**said, "uri": unmasked(uri, known.uri)}


def _frozen(value: Any) -> Any:
    """JSON has lists where a sink has tuples."""
    return tuple(value) if isinstance(value, list) else value


def _required(kind: type[Sink]) -> list[str]:
    return [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
