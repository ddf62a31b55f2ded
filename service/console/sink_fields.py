"""The fields of a form for the configuration of a destination, made of what the API knows of its type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_origin, get_type_hints

from pydantic.alias_generators import to_camel

from service.api.schemas.sinks import CONFIGS, shown_config
from service.console.forms import Form
from service.domain.errors import Invalid
from service.domain.sink_configs import CREDENTIALS, SINKS
from service.domain.sinks import Sink, SinkKind

TYPES = {
    SinkKind.FIFO: "A receiver of webhooks, in order",
    SinkKind.POLLING: "Polled by whoever they are for",
    SinkKind.RABBITMQ: "RabbitMQ",
    SinkKind.POSTGRES: "A table of a PostgreSQL",
    SinkKind.S3: "Amazon S3, or what speaks like it",
    SinkKind.KAFKA: "Apache Kafka",
    SinkKind.NATS: "NATS JetStream",
}
_AREAS = {"headers", "ssl_root_cert"}
_HEADERS = "Name and value with a colon between them, one on each line. Left empty, they stay as they are."


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkField:
    """A field by its name in the API. `widget` is text, password, area or tick."""

    name: str
    label: str
    hint: str
    widget: str


def fields_of(kind: SinkKind) -> Sequence[SinkField]:
    """The fields of this type's configuration."""
    return [
        SinkField(
            name=to_camel(name),
            label=name.replace("_", " ").capitalize(),
            hint=_HEADERS if name == "headers" else (field.description or ""),
            widget=_widget(kind, name),
        )
        for name, field in CONFIGS[kind].model_fields.items()
    ]


def typed(kind: SinkKind, form: Form) -> dict[str, Any]:
    """The form as the API's configuration: an empty field clears a value, but leaves a hidden one and headers as they
    are. Raises Invalid."""
    config: dict[str, Any] = {}
    for name in CONFIGS[kind].model_fields:
        alias, said = to_camel(name), form.text(to_camel(name)).strip()
        if _is_tick(kind, name):
            config[alias] = form.has(alias)
        elif said:
            config[alias] = _read(kind, name, said)
        elif name not in CREDENTIALS | {"headers"}:
            config[alias] = None
    return config


def filled(sink: Sink) -> Sequence[tuple[str, str]]:
    """The fields of a form with what of a configuration is shown."""
    shown = {name: value for name, value in shown_config(sink).items() if name != "headers"}
    return [(name, written) for name, value in shown.items() if (written := _written(value))]


def _widget(kind: SinkKind, name: str) -> str:
    if _is_tick(kind, name):
        return "tick"
    if name in _AREAS:
        return "area"
    return "password" if name in CREDENTIALS else "text"


def _is_tick(kind: SinkKind, name: str) -> bool:
    return _types(kind)[name] is bool


@cache
def _types(kind: SinkKind) -> Mapping[str, Any]:
    return get_type_hints(SINKS[kind])


def _read(kind: SinkKind, name: str, said: str) -> object:
    if get_origin(_types(kind)[name]) is tuple:
        return said.replace(",", " ").split()
    return _headers(said) if name == "headers" else said


def _headers(said: str) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, said.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise Invalid("A header is a name and a value with a colon between them.", field=("headers",))
        headers[name.strip()] = value.strip()
    return headers


def _written(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else ""
        case tuple() | list():
            return ", ".join(map(str, value))
        case None:
            return ""
        case _:
            return str(value)
